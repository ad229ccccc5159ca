"""The audit page: who changed what, when, from what to what, and via which interface."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from starlette.responses import Response

from balancebot.domain.audit import Act, AuditEntry, Via
from balancebot.domain.sentence import sentence
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.user import Role
from balancebot.i18n import Wording
from balancebot.sheet_writer import Cell
from balancebot.store import audit
from balancebot.thresholds.edit import COLUMNS
from balancebot.web.downloads import MAX_IN_CSV, csv_file, instant_cell
from balancebot.web.paging import PAGE, Page, offset, page_number
from balancebot.web.rendering import show, shown_or
from balancebot.web.request import PageRequest

TOPICS: dict[str, tuple[Act, ...]] = {
    topic: tuple(act for act in Act if act.value.startswith(f"{topic}."))
    for topic in dict.fromkeys(act.value.partition(".")[0] for act in Act)
}
_UNDONE = (Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD)


_LABELS = {
    **dict.fromkeys(("wallet", "category", *COLUMNS), None),
    "role": sentence("Role"),
    "until": sentence("Until"),
    "reason": sentence("Reason"),
    "expects_by": sentence("Top-up expected by"),
    "messages": sentence("Messages"),
    "starts_at": sentence("From"),
    "ends_at": sentence("To"),
    "expires_at": sentence("Expires"),
    "expected_by": sentence("Expected by"),
    "price": sentence("Price"),
    "reference": sentence("Reference"),
    "order": sentence("Order"),
    "balance": sentence("Balance"),
}
"""What users call the fields of audit entries. Other fields, such as ids, aren't shown."""
_LIMITS = frozenset(column.value for column in LimitColumn)
_INSTANTS = frozenset({"until", "expects_by", "starts_at", "ends_at", "expected_by"})


_NUMBERED = {
    Act.ACKNOWLEDGE: sentence("alert %(name)s"),
    Act.END_SILENCE: sentence("silence %(name)s"),
    Act.RESEND: sentence("delivery %(name)s"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDifference:
    """One field that has changed; '' = nothing."""

    label: str
    before: str
    after: str


def audit_page(request: PageRequest) -> Response:
    """Show the latest changes that match the filter in the address."""
    number, about, topic = page_number(request.query("page")), request.query("q"), request.query("topic")
    with request.app.database.read() as conn:
        entries = audit.newest(
            conn, limit=PAGE + 1, offset=offset(number), acts=TOPICS.get(topic, ()), about=about
        )
        num_together = audit.num_together(conn, entries)
    words = request.words
    first_of: dict[tuple[datetime, str, Via], str] = {}
    for entry in entries:
        first_of.setdefault((entry.at, entry.actor, entry.via), entry.id)
    return show(
        request,
        "audit.html.j2",
        entries=[
            (
                entry,
                subject(entry, words),
                shown_or(partial(differences, entry, words), _not_shown(words)),
                entry.act in _UNDONE,
                num_together.get(made, 0) if first_of[made] == entry.id else 0,
            )
            for entry in entries[:PAGE]
            for made in [(entry.at, entry.actor, entry.via)]
        ],
        paging=Page(number=number, more=len(entries) > PAGE),
        about=about,
        topic=topic,
        topics=list(TOPICS),
    )


def to_csv(request: PageRequest) -> Response:
    """Send all changes that match the address, from all pages, as CSV."""
    with request.app.database.read() as conn:
        entries = audit.newest(
            conn,
            limit=MAX_IN_CSV,
            acts=TOPICS.get(request.query("topic"), ()),
            about=request.query("q"),
        )
    table: list[tuple[Cell, ...]] = [("at", "who", "way", "act", "subject", "before", "after")]
    table += [
        (
            instant_cell(entry.at),
            entry.actor,
            entry.via.value,
            entry.act.value,
            entry.subject,
            *(
                "" if side is None else json.dumps(dict(side), ensure_ascii=False)
                for side in (entry.before, entry.after)
            ),
        )
        for entry in entries
    ]
    return csv_file(table, "audit.csv")


def _not_shown(words: Wording) -> tuple[AuditDifference, ...]:
    return (AuditDifference(label=words.gettext("Change"), before="", after=words.gettext("can't be shown")),)


def subject(entry: AuditEntry, words: Wording) -> str:
    """Return what was changed, by its name or, if it has no name, by its kind and id."""
    form = _NUMBERED.get(entry.act)
    return entry.subject if form is None else words.gettext(form.id, name=entry.subject.partition(" ")[2])


def differences(entry: AuditEntry, words: Wording) -> tuple[AuditDifference, ...]:
    """Return the differences between before and after, in the order of the entry."""
    before, after = entry.before or {}, entry.after or {}
    names = [name for name in dict.fromkeys([*before, *after]) if name in _LABELS]
    return tuple(
        AuditDifference(
            label=_label(name, words),
            before=_text(name, before.get(name), words),
            after=_text(name, after.get(name), words),
        )
        for name in names
        if (before.get(name) or None) != (after.get(name) or None)
    )


def _label(name: str, words: Wording) -> str:
    label = _LABELS[name]
    return words.column(name) if label is None else words.translate(label)


def _text(name: str, value: object, words: Wording) -> str:
    if value is None:
        return ""
    if name in _LIMITS and value == "off":
        return words.gettext("off")
    if name == "role":
        return words.role(Role(str(value)))
    if name in _LIMITS and str(value).isdecimal():
        return words.number(int(str(value)))
    if name == "expires_at":
        return words.day(datetime.fromisoformat(str(value)))
    if name in _INSTANTS:
        return words.when(datetime.fromisoformat(str(value)))
    if name == "price":
        return f"{Decimal(str(value)):,.2f}"
    return words.number(value) if isinstance(value, int) else str(value)
