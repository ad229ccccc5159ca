"""Planned sends: mailings that users announce in advance."""

from datetime import timedelta

from starlette.responses import Response

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.local_time import read_instant
from balancebot.domain.number_text import read_quantity
from balancebot.domain.sentence import Sentence, sentence
from balancebot.web.downloads import MAX_IN_CSV, csv_file, instant_cell
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done


def coming(request: PageRequest) -> Response:
    """Show the announced sends."""
    return _coming(request)


def to_csv(request: PageRequest) -> Response:
    """Send the announced sends as CSV."""
    header = (
        "id",
        "wallet",
        "category",
        "messages",
        "starts_at",
        "ends_at",
        "note",
        "created_by",
        "created_at",
    )
    rows = (
        (
            plan.id,
            plan.balance.wallet,
            plan.balance.category.value,
            plan.messages,
            instant_cell(plan.starts_at),
            instant_cell(plan.ends_at),
            plan.note,
            plan.created_by,
            instant_cell(plan.created_at),
        )
        for plan in request.app.planned_sends.standing()[:MAX_IN_CSV]
    )
    return csv_file([header, *rows], "plans.csv")


def announce(request: PageRequest) -> Response:
    """Announce a send."""
    app, words = request.app, request.words
    messages = read_quantity(request.sent("messages"))
    starts_at = read_instant(request.sent("starts_at"), request.zone, now=request.now)
    hours = read_quantity(request.sent("hours"))
    category = next((category for category in Category if category.value == request.sent("category")), None)
    if not isinstance(messages, int):
        return _coming(request, fault=words.gettext("The number of messages must be a whole number."))
    if isinstance(starts_at, Sentence):
        return _coming(request, fault=words.translate(sentence("The start %(fault)s", fault=starts_at)))
    if not isinstance(hours, int):
        return _coming(request, fault=words.gettext("The duration must be a whole number of hours."))
    if category is None:
        return _coming(request, fault=words.gettext("Choose a category."))
    exactly = request.sent_exactly("wallet")
    name = WalletName(exactly if exactly in app.planned_sends.known() else exactly.strip())
    made = app.planned_sends.announce(
        BalanceKey(name, category),
        messages=messages,
        starts_at=starts_at,
        over=timedelta(hours=min(hours, 10_000)),
        note=request.sent("note"),
        by=request.actor,
    )
    return (
        _coming(request, fault=words.translate(made))
        if isinstance(made, Sentence)
        else done("/plans", Done.PLAN_ADDED)
    )


def take_back(request: PageRequest) -> Response:
    """Withdraw an announced send."""
    if request.app.planned_sends.take_back(request.part("id"), by=request.actor) is None:
        return _coming(request, fault=request.words.gettext("This send is already over or removed."))
    return done("/plans", Done.PLAN_REMOVED)


def _coming(request: PageRequest, fault: str = "") -> Response:
    app = request.app
    typed = ("wallet", "category", "messages", "starts_at", "hours", "note")
    return show(
        request,
        "plans.html.j2",
        status=422 if fault else 200,
        fault=fault,
        plans=app.planned_sends.standing(),
        categories=list(Category),
        known=app.planned_sends.known()[:200],
        typed={name: request.sent(name) or request.query(name) for name in typed},
    )
