"""The table of thresholds, which is edited in place, with the effects of each change.

A change is previewed first and saved with one click. It never overwrites another user's change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from balancebot.alerts.transitions import NotifiedAlert
from balancebot.catalogue import number
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.sentence import Sentence, split_address
from balancebot.domain.threshold import OFF, Effective, Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import read_category, read_wallet, written
from balancebot.sheets import InputFault
from balancebot.thresholds.changes import Conflict, edit_token
from balancebot.thresholds.edit import COLUMNS, Edited, balances_of
from balancebot.web.paging import Page, cut, page_number
from balancebot.web.rendering import show
from balancebot.web.request import MAX_EFFECTS, Done, PageRequest, done
from balancebot.web.threshold_figures import CurrentFigures, ScopeFigures, with_planned

_MAX_SAMPLED = 60
"""How many balances of a pattern are examined to find what it inherits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InheritedValue:
    """The inherited value of a column. `text` '' = nothing is set; `varies`: it differs between balances."""

    text: str = ""
    origin: Scope | None = None
    """None = built in, if `text` is set."""
    varies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdLine:
    """One line of the table: a scope, the values that it sets and those that it inherits."""

    scope: Scope
    row: ThresholdRow | None
    """None: the scope has no row of its own."""
    own: Mapping[str, str]
    """Column -> the value of the row as text; '' = inherited."""
    inherited: Mapping[str, InheritedValue]
    figures: ScopeFigures | None = None
    """None: no figures are shown."""


def threshold_line(
    scope: Scope,
    row: ThresholdRow | None,
    book: ThresholdBook,
    known: Sequence[WalletName],
    *,
    figures: ScopeFigures | None = None,
) -> ThresholdLine:
    """Return the line of a scope; `book` has what it inherits."""
    own = {column: "" if row is None else shown(getattr(row, column)) for column in COLUMNS}
    effective = [book.effective(*balance) for balance in islice(balances_of(scope, known), _MAX_SAMPLED)]
    return ThresholdLine(
        scope=scope,
        row=row,
        own=own,
        inherited={column: _inherited(column, effective) for column in COLUMNS if not own[column]},
        figures=figures,
    )


def shown(value: object) -> str:
    """Return a value as the table shows it: with thousands separators, which all forms accept."""
    if value is OFF or value is None or isinstance(value, str):
        return written(value)
    assert isinstance(value, int | float)  # noqa: S101 -- the only other types
    return number(value) if isinstance(value, int) else written(value)


def _inherited(column: str, effective: Sequence[Effective]) -> InheritedValue:
    found = {(_value(values, column), _origin(values, column)) for values in effective}
    if len(found) > 1:
        return InheritedValue(varies=True)
    for text, origin in found:
        return InheritedValue(text=text, origin=origin)
    return InheritedValue()


def _value(effective: Effective, column: str) -> str:
    if column == "note":
        return effective.note
    value = effective.lead_time_days if column == "lead_time_days" else getattr(effective.limits, column)
    if value is None:
        return "off" if _origin(effective, column) is not None else ""
    return shown(value)


def _origin(effective: Effective, column: str) -> Scope | None:
    scope: Scope | None = getattr(effective.origins, column)
    return scope


_ALL = "balances"
"""The view that lists every known balance instead of the rows that are set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdTable:
    """One page of the table."""

    lines: Sequence[ThresholdLine]
    paging: Page
    about: str
    """The text of the search."""
    view: str
    num_rows: int
    num_balances: int


def table(request: PageRequest) -> Response:
    """Show the rows that are set, or every balance with its effective limits."""
    return show(
        request,
        "thresholds.html.j2",
        table=_table(request, request.query("q"), request.query("view"), page_number(request.query("page"))),
    )


def editor(request: PageRequest) -> Response:
    """Show the form for one scope, in place of its line or as a page of its own."""
    wallet, category = request.query_exactly("wallet"), request.query("category")
    scope = scope_of(wallet, category) if wallet else None
    if isinstance(scope, InputFault):
        typed = dict.fromkeys(COLUMNS, "") | {"wallet": wallet, "category": category}
        return _editor(request, scope=None, typed=typed, faults=(scope,))
    row = None if scope is None else request.app.edit_thresholds.look(scope)
    cells = {column: "" if row is None else shown(getattr(row, column)) for column in COLUMNS}
    return _editor(request, scope=scope, typed=cells, seen=edit_token(row))


def cancelled(request: PageRequest) -> Response:
    """Show the line of a scope again, as it was before its editor opened."""
    scope = scope_of(request.query_exactly("wallet"), request.query("category"))
    if isinstance(scope, InputFault):
        return Response(status_code=204)
    with request.app.database.read() as conn:
        book = request.app.thresholds.book(conn)
    known = request.app.edit_thresholds.known()
    row = next((row for row in book.rows if row.scope == scope), None)
    line = threshold_line(scope, row, book, known, figures=CurrentFigures(request).of(scope))
    return show(request, "threshold_line.html.j2", line=line, focus=True)


def save(request: PageRequest) -> Response:
    """Save the form, unless it has faults or another user has changed the row meanwhile."""
    typed = typed_row(request)
    scope = scope_of(typed["wallet"], typed["category"])
    if isinstance(scope, InputFault):
        return _editor(request, scope=None, typed=typed, seen=request.sent("seen"), faults=(scope,))
    outcome = request.app.edit_thresholds.replace(
        scope, cells_of(typed), seen=request.sent("seen"), by=request.actor
    )
    if isinstance(outcome, Conflict):
        seen = edit_token(outcome.current)
        return _editor(request, scope=scope, typed=typed, seen=seen, conflict=outcome)
    if outcome.faults:
        is_new = request.sent("is_new") == "yes"
        return _editor(
            request,
            scope=None if is_new else scope,
            typed=typed,
            seen=request.sent("seen"),
            faults=outcome.faults,
        )
    return _saved(request, scope, Done.SAVED, outcome.notified)


def remove(request: PageRequest) -> Response:
    """Remove a row, unless another user has changed it meanwhile."""
    typed = typed_row(request)
    scope = scope_of(typed["wallet"], typed["category"])
    if isinstance(scope, InputFault):
        return _editor(request, scope=None, typed=typed, seen=request.sent("seen"), faults=(scope,))
    outcome = request.app.edit_thresholds.remove(
        scope, seen=lambda row: edit_token(row) == request.sent("seen"), by=request.actor
    )
    if isinstance(outcome, Conflict):
        seen = edit_token(outcome.current)
        return _editor(request, scope=scope, typed=typed, seen=seen, conflict=outcome)
    if outcome.faults:
        return _editor(request, scope=scope, typed=typed, seen=request.sent("seen"), faults=outcome.faults)
    return _saved(request, scope, Done.REMOVED, outcome.notified)


def typed_row(request: PageRequest) -> dict[str, str]:
    """Return what was entered: the scope, and a cell for each column."""
    typed = {column: request.sent(column) for column in ("category", *COLUMNS)}
    exactly = request.sent_exactly("wallet")
    # A configured name may begin or end with a space; in all other fields such spaces are a slip.
    is_known = exactly in request.app.edit_thresholds.known()
    return {"wallet": exactly if is_known else exactly.strip(), **typed}


def _saved(request: PageRequest, scope: Scope, what: Done, notified: Sequence[NotifiedAlert]) -> Response:
    """Show the whole table again: many rows may inherit a change of one row."""
    if not request.wants_part:
        return done("/thresholds", what, notified)
    address = split_address(request.http.headers.get("hx-current-url", ""))
    here = parse_qs(address.query) if address else {}

    def query(name: str) -> str:
        return here.get(name, [""])[0]

    return show(
        request,
        "threshold_table.html.j2",
        headers={"HX-Retarget": "#rows", "HX-Reswap": "outerHTML"},
        saved=scope,
        saved_as=what.value,
        saved_effects=[
            (alert.alert_id, request.words.done_to_alert(alert.reason, alert.severity, alert.subject))
            for alert in notified[:MAX_EFFECTS]
        ],
        table=_table(request, query("q"), query("view"), page_number(query("page"))),
    )


def _table(request: PageRequest, about: str, view: str, number: int) -> ThresholdTable:
    known = request.app.edit_thresholds.known()
    with request.app.database.read() as conn:
        book = request.app.thresholds.book(conn)
    rows = {row.scope: row for row in book.rows}
    scopes = _all_scopes(known, about) if view == _ALL else _set_scopes(book, about)
    shown_scopes, paging = cut(scopes, number)
    figures = CurrentFigures(request)
    lines = [
        threshold_line(scope, rows.get(scope), book, known, figures=figures.of(scope))
        for scope in shown_scopes
    ]
    return ThresholdTable(
        lines=lines,
        paging=paging,
        about=about,
        view=view,
        num_rows=len(book.rows),
        num_balances=len(known) * len(Category),
    )


def scopes_about(request: PageRequest, about: str, view: str) -> list[Scope]:
    """Return every scope that the table lists for a search."""
    if view == _ALL:
        return _all_scopes(request.app.edit_thresholds.known(), about)
    with request.app.database.read() as conn:
        return _set_scopes(request.app.thresholds.book(conn), about)


def _set_scopes(book: ThresholdBook, about: str) -> list[Scope]:
    wanted = about.lower()
    found = [row.scope for row in book.rows if wanted in row.wallet.lower() or wanted in row.note.lower()]
    return sorted(found, key=lambda scope: (scope.wallet, scope.category or ""))


def _all_scopes(known: Sequence[WalletName], about: str) -> list[Scope]:
    wanted = about.lower()
    return [Scope(name, category) for name in known if wanted in name.lower() for category in Category]


def cells_of(typed: Mapping[str, str]) -> dict[str, str]:
    """Return the cells that a row can set."""
    return {column: typed[column] for column in COLUMNS}


def scope_of(wallet: str, category: str) -> Scope | InputFault:
    """Read a scope as users write it, or return what is wrong with it."""
    name = read_wallet(wallet)
    if isinstance(name, Sentence):
        return InputFault(message=name, column="wallet")
    kind = read_category(category)
    if isinstance(kind, Sentence):
        return InputFault(message=kind, column="category")
    return Scope(name, kind)


def _editor(
    request: PageRequest,
    *,
    scope: Scope | None,
    typed: Mapping[str, str],
    seen: str = "",
    faults: Sequence[InputFault] = (),
    conflict: Conflict | None = None,
) -> Response:
    """Show the form. `scope` None: a new row without a scope yet."""
    with request.app.database.read() as conn:
        rows = request.app.thresholds.book(conn).rows
    known = request.app.edit_thresholds.known()
    # what would hold without this row
    others = ThresholdBook(row for row in rows if row.scope != scope)
    words = request.words
    bare = Scope("*") if scope is None else scope
    figures = None if scope is None else with_planned(CurrentFigures(request).of(scope), request)
    return show(
        request,
        "threshold_editor.html.j2" if request.wants_part else "threshold_page.html.j2",
        status=409 if conflict else 422 if faults else 200,
        scope=scope,
        typed={"wallet": "", "category": "*"} | dict(typed),
        figures=figures,
        is_set=any(row.scope == scope for row in rows),
        seen=seen or edit_token(None),
        inherited=threshold_line(bare, None, others, known).inherited,
        faults={
            column: [words.translate(f.message) for f in faults if f.column == column]
            for column in ("wallet", "category", *COLUMNS)
        },
        other_faults=[words.translate(fault.message) for fault in faults if not fault.column],
        theirs=None if conflict is None else _conflict(conflict.current, typed),
        current=None if conflict is None else conflict.current,
        columns=COLUMNS,
        categories=list(Category),
        suggestions=known[:200],
    )


def _conflict(current: ThresholdRow | None, typed: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (column, present value, entered value) for each difference."""
    current_cells = {column: "" if current is None else shown(getattr(current, column)) for column in COLUMNS}
    return [
        (column, current_cells[column], typed[column])
        for column in COLUMNS
        if current_cells[column] != typed[column]
    ]


def preview(request: PageRequest) -> Response:
    """Show which alerts would open or close now; the page asks for the backtest when it has shown this."""
    typed, words = typed_row(request), request.words
    scope = scope_of(typed["wallet"], typed["category"])
    fields: dict[str, Any] = {
        "typed": typed,
        "columns": COLUMNS,
        "figures": CurrentFigures(request).of(scope) if isinstance(scope, Scope) else None,
    }
    edited = _edited(request)
    if edited is None or edited.faults:
        faults = () if edited is None else edited.faults
        return show(
            request,
            "threshold_preview.html.j2",
            faults={
                column: [words.translate(fault.message) for fault in faults if fault.column == column]
                for column in COLUMNS
            },
            other_faults=[words.translate(fault.placed) for fault in faults if fault.column not in COLUMNS],
            present=None,
            **fields,
        )
    before, after, scopes = _books(request, edited)
    present = request.app.preview_limits.ahead(before, after, scopes, now=request.now)
    return show(
        request,
        "threshold_preview.html.j2",
        faults={column: [] for column in COLUMNS},
        other_faults=[],
        **fields,
        warnings=[words.translate(warning.message) for warning in edited.warnings],
        is_change=bool(edited.changes),
        present=present,
        reasons=["" if shift.crossed is None else words.crossed(shift.crossed) for shift in present.shifts],
    )


def backtest(request: PageRequest) -> Response:
    """Show the alerts that there would have been in the last 30 days, next to those of the present limits."""
    edited = _edited(request)
    if edited is None or edited.faults or not edited.changes:
        return Response("", media_type="text/html")
    past = request.app.preview_limits.back(*_books(request, edited), now=request.now)
    return show(request, "threshold_backtest.html.j2", past=past)


def _edited(request: PageRequest) -> Edited | None:
    """Return the changes that saving the form would make; None if no scope was entered yet."""
    typed = typed_row(request)
    scope = scope_of(typed["wallet"], typed["category"])
    if not isinstance(scope, Scope):
        return None
    return request.app.edit_thresholds.preview(scope, cells_of(typed))


def _books(request: PageRequest, edited: Edited) -> tuple[ThresholdBook, ThresholdBook, list[Scope]]:
    with request.app.database.read() as conn:
        before = request.app.thresholds.book(conn)
    return before, ThresholdBook(edited.rows), [change.scope for change in edited.changes]
