"""Bulk edit of thresholds: tick rows, enter values, preview the changes, save.

Between preview and click the changes are in the page, as for a spreadsheet; see `sheets.py`.
"""

from collections.abc import Sequence

from starlette.responses import Response

from balancebot.domain.balance import Category
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import Scope
from balancebot.domain.threshold_cell import read_category, read_wallet
from balancebot.sheets import InputFault
from balancebot.thresholds.edit import COLUMNS
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest
from balancebot.web.sheets import show_changes
from balancebot.web.threshold_figures import CurrentFigures
from balancebot.web.thresholds import scopes_about

MAX_SCOPES = 2_000
"""How many rows can be edited at once. They aren't listed, only counted."""
_LISTED = 60


def choose(request: PageRequest) -> Response:
    """Show the form for the ticked rows."""
    return _form(request)


def preview(request: PageRequest) -> Response:
    """Show every change that saving would make, or each fault at its field."""
    scopes = _scopes(request)
    cells = {column: text for column in COLUMNS if (text := request.sent(column))}
    if not scopes or not cells:
        return _form(request, is_empty=bool(scopes))
    edited = request.app.edit_thresholds.preview_many(scopes, cells)
    if edited.faults:
        return _form(request, faults=edited.faults)
    return show_changes(request, edited, num_rows=len(scopes), is_sheet=False)


def _scopes(request: PageRequest) -> list[Scope]:
    """Return the ticked scopes, or all that match the search."""
    if request.sent("every"):
        return scopes_about(request, request.sent("q"), request.sent("view"))[:MAX_SCOPES]
    scopes = (_scope(text) for text in request.sent_all("scope"))
    return list(dict.fromkeys(scope for scope in scopes if scope is not None))[:MAX_SCOPES]


def _scope(text: str) -> Scope | None:
    wallet, _, category = text.rpartition(":")
    name, kind = read_wallet(wallet), read_category(category)
    if isinstance(name, Sentence) or isinstance(kind, Sentence):
        return None
    return Scope(name, kind)


def _form(request: PageRequest, *, faults: Sequence[InputFault] = (), is_empty: bool = False) -> Response:
    scopes = _scopes(request)
    figures, words = CurrentFigures(request), request.words
    columns = {fault.column for fault in faults}
    return show(
        request,
        "threshold_bulk.html.j2",
        status=422 if faults or is_empty or not scopes else 200,
        scopes=scopes,
        listed=[(scope, figures.of(scope)) for scope in scopes[:_LISTED]],
        every=request.sent("every"),
        about=request.sent("q"),
        view=request.sent("view"),
        typed={column: request.sent(column) for column in COLUMNS},
        faults={
            column: [words.translate(fault.message) for fault in faults if fault.column == column]
            for column in COLUMNS
        },
        other_faults=[words.translate(fault.message) for fault in faults if fault.column not in COLUMNS],
        is_empty=is_empty,
        columns=COLUMNS,
        wrong=columns,
        categories=list(Category),
    )
