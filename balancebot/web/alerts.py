"""Alerts, open and past: what is wrong, what was told of it and to whom; acknowledging and silencing."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.answers import with_causes
from balancebot.domain.alert import Alert
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.local_time import read_instant
from balancebot.domain.message import AlertMessage
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import Sentence, sentence
from balancebot.i18n import Wording
from balancebot.store import alerts, notification_history, silences
from balancebot.store import alerts as store
from balancebot.store.types import parse_id
from balancebot.web.paging import PAGE, Page, offset, page_number, page_of
from balancebot.web.rendering import show, shown_or_not
from balancebot.web.request import Done, PageRequest, done

_SPANS = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "24h": timedelta(days=1),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_MORNING = time(9)


def listed(request: PageRequest) -> Response:
    """Show the open alerts, worst first, or the past ones, newest first; and the silences that hold."""
    return _listed(request)


def one(request: PageRequest) -> Response:
    """Show one alert with its story."""
    return _one(request)


def acknowledge(request: PageRequest) -> Response:
    """Stop the reminders of an alert."""
    app, alert_id = request.app, request.part("id")
    expects_by = _expected(request)
    if isinstance(expects_by, str):
        return _one(request, fault=expects_by)
    seen = app.operate_alerts.acknowledge(
        alert_id, by=request.actor, note=request.sent("note")[:500], expects_by=expects_by
    )
    if seen is None:
        return _one(request, fault=request.words.gettext("This alert is already closed."))
    return done(f"/alerts/{seen.id}", Done.ACKNOWLEDGED)


def resend(request: PageRequest) -> Response:
    """Let a delivery that was given up be tried again."""
    state = request.app.operate_deliveries.resend(request.part("delivery"), by=request.actor)
    if state not in {DeliveryState.GAVE_UP, DeliveryState.PENDING}:
        return _one(
            request, fault=request.words.gettext("This delivery has already arrived or is being sent.")
        )
    return done(f"/alerts/{request.part('id')}", Done.RESENT)


def silence(request: PageRequest) -> Response:
    """Mute what a pattern means."""
    app, text = request.app, request.sent("pattern")
    pattern, until = Pattern.parse(text), _until(request)
    if isinstance(pattern, Sentence):
        return _listed(
            request,
            fault=request.words.translate(sentence("The pattern %(fault)s", fault=pattern)),
        )
    if until is None:
        return _listed(request, fault=request.words.gettext("Choose until when."))
    app.operate_alerts.silence(pattern, until=until, reason=request.sent("reason")[:500], by=request.actor)
    return done("/alerts", Done.SILENCED)


def end_silence(request: PageRequest) -> Response:
    """End a silence before its time."""
    if not request.app.operate_alerts.end_silence(request.part("id"), by=request.actor):
        return _listed(request, fault=request.words.gettext("This silence has already ended."))
    return done("/alerts", Done.SILENCE_ENDED)


def with_reasons(
    conn: Connection, found: Sequence[AlertMessage], words: Wording
) -> list[tuple[Alert, AlertMessage, str]]:
    """Return alerts as a message would show them and why each is, or was, open."""
    return [(last.alert, last, _why(cause, words)) for last, cause in with_causes(conn, found)]


def _why(message: AlertMessage, words: Wording) -> str:
    return shown_or_not(lambda: words.why(message), words.gettext("can't be shown"))


def _listed(request: PageRequest, fault: str = "") -> Response:
    app = request.app
    number, about = page_number(request.asked("page")), request.asked("q")
    is_past = request.asked("show") == "past"
    shown: Sequence[AlertMessage]
    with app.database.read() as conn:
        num_open = store.num_open_about(conn)
        held = silences.holding(conn, request.now)
        quiet = alerts.muted_counts(conn)
        if is_past:
            closed = store.past(conn, limit=PAGE + 1, offset=offset(number), about=about)
            shown, paging = closed[:PAGE], Page(number=number, more=len(closed) > PAGE)
        else:
            paging = page_of(store.num_open_about(conn, about), number)
            shown = store.worst_open(conn, limit=PAGE, offset=offset(paging.number), about=about)
        listed = with_reasons(conn, shown, request.words)
    return show(
        request,
        "alerts.html.j2",
        status=422 if fault else 200,
        alerts=listed,
        num_open=num_open,
        muted=quiet,
        is_past=is_past,
        about=about,
        paging=paging,
        silences=held,
        spans=list(_SPANS),
        pattern=request.sent("pattern") or request.asked("silence"),
        reason=request.sent("reason"),
        fault=fault,
    )


def _one(request: PageRequest, fault: str = "") -> Response:
    app, alert_id = request.app, parse_id(request.part("id"))
    with app.database.read() as conn:
        found = None if alert_id is None else store.get(conn, alert_id)
        if alert_id is None or found is None:
            raise HTTPException(404, sentence("This alert doesn't exist.").id)
        ((alert, last, why),) = with_reasons(conn, [found], request.words)
        chapters = notification_history.of_alert(conn, alert_id)
    say = request.words
    return show(
        request,
        "alert.html.j2",
        status=422 if fault else 200,
        alert=alert,
        last=last,
        why=why,
        chapters=[
            (
                chapter,
                say.cause(cause)
                if (cause := chapter.message.alert.closed_because)
                else _why(chapter.message, say),
            )
            for chapter in chapters
        ],
        spans=list(_SPANS),
        fault=fault,
    )


def _until(request: PageRequest) -> datetime | None:
    chosen = request.sent("for")
    if chosen == "morning":
        local = request.now.astimezone(request.zone)
        tomorrow = local.date() + timedelta(days=1)
        return datetime.combine(tomorrow, _MORNING, tzinfo=request.zone).astimezone(UTC)
    span = _SPANS.get(chosen)
    return None if span is None else request.now + span


def _expected(request: PageRequest) -> datetime | str | None:
    """Read by when a top-up is expected, as local time; '' is no expectation."""
    text = request.sent("expects_by")
    if not text:
        return None
    at = read_instant(text, request.zone, now=request.now)
    if isinstance(at, Sentence):
        return request.words.translate(sentence("The time %(fault)s", fault=at))
    if at <= request.now:
        return request.words.gettext("The top-up is expected in the past: choose a later time.")
    return at
