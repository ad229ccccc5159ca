"""Undoing a change of the limits, or all changes of one upload or bulk edit."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.threshold_cell import read_column
from balancebot.sheets import InputFault
from balancebot.store import audit
from balancebot.thresholds.changes import Conflict, Outdated, edit_token
from balancebot.thresholds.edit import COLUMNS
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done
from balancebot.web.thresholds import shown


def undo(request: PageRequest) -> Response:
    """Restore a scope as it was before a change. If it was changed again since, show that and ask first."""
    with request.app.database.read() as conn:
        entry = audit.find(conn, request.part("id"))
    if entry is None:
        raise HTTPException(404, sentence("This change doesn't exist.").id)
    outcome = request.app.edit_thresholds.undo(entry, by=request.actor, seen=request.sent("seen") or None)
    if outcome is None:
        raise HTTPException(404, sentence("This change doesn't exist.").id)
    if isinstance(outcome, Conflict):
        before = entry.before or {}
        current = outcome.current
        return show(
            request,
            "undo.html.j2",
            status=409,
            entry=entry,
            current=current,
            seen=edit_token(current),
            columns=[
                (
                    column,
                    "" if current is None else shown(getattr(current, column)),
                    _shown_text(column, str(before.get(column) or "")),
                )
                for column in COLUMNS
            ],
            faults=[],
        )
    if outcome.faults:
        return show(
            request,
            "undo.html.j2",
            status=422,
            entry=entry,
            current=None,
            seen="",
            columns=[],
            faults=[request.words.translate(fault.placed) for fault in outcome.faults],
        )
    return done("/audit", Done.UNDONE, outcome.notified)


def _shown_text(column: str, text: str) -> str:
    """Return a stored value as pages show it."""
    value = read_column(column, text)
    return text if isinstance(value, Sentence) else shown(value)


def undo_all(request: PageRequest) -> Response:
    """Undo every change of one upload or bulk edit. If some rows were changed again since, show them and ask first."""
    with request.app.database.read() as conn:
        entry = audit.find(conn, request.part("id"))
        entries = () if entry is None else audit.together(conn, entry)
    if not entries:
        raise HTTPException(404, sentence("This change doesn't exist.").id)
    outcome = request.app.edit_thresholds.undo_all(
        entries, by=request.actor, skip_changed=request.sent("skip") == "yes"
    )
    faults: Sequence[InputFault] = ()
    kept: list[str] = []
    if isinstance(outcome, Outdated):
        undone = {str(change.scope) for change in outcome.edited.changes}
        kept = [entry.subject for entry in entries if entry.subject not in undone]
    elif not outcome.faults:
        return done("/audit", Done.UNDONE, outcome.notified)
    else:
        faults = outcome.faults
    return show(
        request,
        "undo_all.html.j2",
        status=409 if kept else 422,
        entry=entries[0],
        num=len(entries),
        kept=kept,
        faults=[request.words.translate(fault.placed) for fault in faults],
    )
