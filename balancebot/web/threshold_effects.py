"""What a change of thresholds would do, shown while somebody types; and undoing one that was made."""

from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.domain.threshold import Scope, ThresholdBook
from balancebot.store import audit
from balancebot.thresholds.changes import Conflict, edit_token
from balancebot.thresholds.edit import COLUMNS, Edited
from balancebot.web.flash import Done, done
from balancebot.web.rendering import fault_words, show, wording
from balancebot.web.request import PageRequest
from balancebot.web.thresholds import cells_of, scope_of, shown, typed_row


def preview(visit: PageRequest) -> Response:
    """Show which alerts would open or close now; the look back is asked for when this stands."""
    edited, tell = _edited(visit), fault_words(visit.site.language)
    if edited is None or edited.faults:
        faults = () if edited is None else edited.faults
        return show(
            visit,
            "threshold_preview.html.j2",
            faults=[tell.placed(fault) for fault in faults],
            prospect=None,
        )
    before, after, scopes = _books(visit, edited)
    prospect = visit.site.preview.ahead(before, after, scopes, now=visit.now)
    say = wording(visit.site)
    return show(
        visit,
        "threshold_preview.html.j2",
        faults=[],
        warnings=[tell(warning.message) for warning in edited.warnings],
        is_change=bool(edited.changes),
        prospect=prospect,
        reasons=["" if shift.crossed is None else say.crossed(shift.crossed) for shift in prospect.shifts],
    )


def backtest(visit: PageRequest) -> Response:
    """Show what it would have told in the last 30 days, next to today's limits."""
    edited = _edited(visit)
    if edited is None or edited.faults or not edited.changes:
        return Response("", media_type="text/html")
    retrospect = visit.site.preview.back(*_books(visit, edited), now=visit.now)
    return show(visit, "threshold_backtest.html.j2", retrospect=retrospect)


def undo(visit: PageRequest) -> Response:
    """Give a scope back what it had before a change; if it was changed again since, show that and ask."""
    with visit.site.database.read() as conn:
        entry = audit.find(conn, visit.part("id"))
    if entry is None:
        raise HTTPException(404, "There is no such change.")
    outcome = visit.site.edit_thresholds.undo(entry, by=visit.actor, seen=visit.sent("seen") or None)
    if outcome is None:
        raise HTTPException(404, "There is no such change.")
    if isinstance(outcome, Conflict):
        before = entry.before or {}
        current = outcome.current
        return show(
            visit,
            "undo.html.j2",
            status=409,
            entry=entry,
            current=current,
            seen=edit_token(current),
            columns=[
                (column, "" if current is None else shown(getattr(current, column)), before.get(column, ""))
                for column in COLUMNS
            ],
            faults=[],
        )
    if outcome.faults:
        return show(
            visit,
            "undo.html.j2",
            status=422,
            entry=entry,
            current=None,
            seen="",
            columns=[],
            faults=[fault_words(visit.site.language).placed(fault) for fault in outcome.faults],
        )
    return done("/audit", Done.UNDONE)


def _edited(visit: PageRequest) -> Edited | None:
    """Return what saving the form would come to; None while no scope has been typed."""
    typed = typed_row(visit)
    scope = scope_of(typed["wallet"], typed["category"])
    if not isinstance(scope, Scope):
        return None
    return visit.site.edit_thresholds.preview(scope, cells_of(typed))


def _books(visit: PageRequest, edited: Edited) -> tuple[ThresholdBook, ThresholdBook, list[Scope]]:
    with visit.site.database.read() as conn:
        before = visit.site.thresholds.book(conn)
    return before, ThresholdBook(edited.rows), [change.scope for change in edited.changes]
