"""The audit page: who changed what, when, from what to what, and by which way."""

from dataclasses import dataclass

from starlette.responses import Response

from balancebot.domain.audit import Act, AuditEntry
from balancebot.storage import audit
from balancebot.web.paging import PAGE, Page, offset, page_number
from balancebot.web.rendering import show
from balancebot.web.visit import Visit

TOPICS: dict[str, tuple[Act, ...]] = {
    topic: tuple(act for act in Act if act.value.startswith(f"{topic}."))
    for topic in ("threshold", "alert", "silence", "plan", "user")
}
_UNDONE = (Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that was something else before; None = nothing."""

    name: str
    before: object
    after: object


def log_book(visit: Visit) -> Response:
    """Show the latest changes, filtered as the address says."""
    number, about, topic = page_number(visit.asked("page")), visit.asked("q"), visit.asked("topic")
    with visit.site.database.read() as conn:
        entries = audit.newest(
            conn, limit=PAGE + 1, offset=offset(number), acts=TOPICS.get(topic, ()), about=about
        )
    return show(
        visit,
        "audit.html.j2",
        entries=[(entry, differences(entry), entry.act in _UNDONE) for entry in entries[:PAGE]],
        paging=Page(number=number, more=len(entries) > PAGE),
        about=about,
        topic=topic,
        topics=list(TOPICS),
    )


def differences(entry: AuditEntry) -> tuple[Difference, ...]:
    """Return what differs between before and after, in the order in which it was written down."""
    before, after = entry.before or {}, entry.after or {}
    names = dict.fromkeys([*before, *after])
    return tuple(
        Difference(name=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )
