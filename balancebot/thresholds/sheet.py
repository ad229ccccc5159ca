"""Thresholds as a sheet: one row per scope. A sheet is accepted or refused as a whole, with the place of every fault.

`read_limits` reads a file, `import_sheet` returns the changes of its rows, `cells_of` gives the rows of an export.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.number_text import quoted
from balancebot.domain.runway import NO_END_HOURS
from balancebot.domain.sentence import NO_SENTENCE, Sentence, did_you_mean, sentence, unknown_wallet
from balancebot.domain.threshold import Effective, Limits, Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import CATEGORY_WORDS, read_category, read_wallet, written
from balancebot.overview.balances import BalanceView
from balancebot.sheet_writer import Cell, unguarded, write_xlsx
from balancebot.sheets import MAX_FAULTS, InputFault, SheetRow, read_whole_sheet
from balancebot.thresholds.edit import COLUMNS, MAX_GUESSES, Edited, RowEdit, apply_edits, patch_row

HEADER: Final = ("wallet", "category", *COLUMNS)
EFFECTIVE_PREFIX: Final = "effective_"
"""The prefix of columns that only show effective values; import ignores them."""
FIGURES: Final = (
    "current_balance",
    "current_usage_per_day",
    "current_runway_days",
    "current_warning_below_days",
    "current_critical_below_days",
)
"""Columns that show the present state of a balance, and its limits in days; import ignores them."""
_SHOWN_ONLY: Final = (EFFECTIVE_PREFIX, "current_", "生效", "当前")
"""The prefixes of all columns that import ignores."""

_CHINESE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "钱包": "wallet",
        "类型": "category",
        "预警余量": "warning_below",
        "严重余量": "critical_below",
        "预警天数": "warning_days",
        "严重天数": "critical_days",
        "采购天数": "lead_time_days",
        "备注": "note",
    }
)


_HEADER_IN_CHINESE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{column: word for word, column in _CHINESE.items()},
        **{
            EFFECTIVE_PREFIX + column: f"生效{word}" for word, column in _CHINESE.items() if column in COLUMNS
        },
        **dict(
            zip(
                FIGURES,
                (
                    "当前余量",
                    "当前日均用量",
                    "当前可用天数",
                    "当前预警余量折合天数",
                    "当前严重余量折合天数",
                ),
                strict=True,
            )
        ),
    }
)
_WORD_OF: Final[Mapping[Category, str]] = MappingProxyType(
    {category: word for word, category in CATEGORY_WORDS.items() if not word.isascii()}
)


def in_language(table: Iterable[Sequence[Cell]], language: str) -> Iterable[Sequence[Cell]]:
    """Return the cells of an export, its header first, in a language that sheets may have."""
    return _in_chinese(table) if language == "zh-CN" else table


def _in_chinese(table: Iterable[Sequence[Cell]]) -> Iterator[tuple[Cell, ...]]:
    rows = iter(table)
    header = next(rows)
    yield tuple(_HEADER_IN_CHINESE[str(column)] for column in header)
    notes = {position for position, column in enumerate(header) if str(column).endswith("note")}
    for wallet, category, *cells in rows:
        yield (
            wallet,
            _WORD_OF[Category(str(category))] if category != "*" else category,
            *(
                "关闭" if cell == "off" and position not in notes else cell
                for position, cell in enumerate(cells, start=2)
            ),
        )


def read_limits(data: bytes) -> tuple[tuple[SheetRow, ...], tuple[InputFault, ...]]:
    """Read the rows of a CSV file or workbook, its header first; with faults there are no rows."""
    return read_whole_sheet(data, ({"wallet", "钱包"}, {"category", "类型"}))


def write_limits(table: Iterable[Sequence[Cell]]) -> bytes:
    """Return cells, the header first, as a workbook."""
    return write_xlsx(table, title="thresholds", widths=(32, 12, 15, 15, 15, 15, 15, 60))


def import_sheet(
    sheet: Sequence[SheetRow],
    rows: Iterable[ThresholdRow],
    known: Sequence[WalletName],
    *,
    prune: bool = False,
) -> Edited:
    """Apply every row of `sheet`, its header first, to `rows`; with faults nothing may be stored.

    With `prune` the rows that the sheet doesn't name are removed: the rest equals the sheet. A column that the sheet
    doesn't have is inherited, as if it were empty; if a value is lost by that, there is a warning.
    """
    rows = tuple(rows)
    edits, faults, columns = _read(sheet, known, rows)
    if len(faults) >= MAX_FAULTS:
        return Edited(rows=rows, changes=(), faults=tuple(faults), warnings=())
    if prune and not faults:
        named = {edit.scope for edit in edits}
        edits += [RowEdit(scope=row.scope, row=None) for row in rows if row.scope not in named]
    edited = apply_edits(rows, edits, known)
    lines = {edit.scope: edit.line for edit in edits}
    lost = [
        InputFault(
            message=sentence(
                "the sheet has no such column: %(scope)s loses its value", scope=str(change.scope)
            ),
            line=lines[change.scope],
            column=column,
        )
        for change in edited.changes
        for column in change.columns
        if column not in columns and lines[change.scope] is not None
    ]
    return Edited(
        rows=edited.rows,
        changes=edited.changes,
        faults=tuple(sorted((*faults, *edited.faults), key=lambda fault: fault.line or 0)),
        warnings=(*edited.warnings, *lost),
    )


def read_header(header: SheetRow) -> tuple[dict[int, str], list[InputFault]]:
    """Return the place of each column, including those that import ignores, and the faults."""
    columns: dict[int, str] = {}
    faults: list[InputFault] = []
    for position, cell in enumerate(header.cells):
        name = "_".join(unicodedata.normalize("NFKC", cell).casefold().split())
        if not name:
            continue
        column = _CHINESE.get(name, name)
        if column in columns.values():
            faults.append(
                InputFault(
                    message=sentence("the column %(column)s occurs twice", column=column),
                    line=header.line,
                    column=column,
                )
            )
        elif column not in HEADER and not column.startswith(_SHOWN_ONLY):
            hint = did_you_mean(column, (*HEADER, *_CHINESE))
            faults.append(
                InputFault(
                    message=sentence(
                        "the column %(column)s is unknown%(hint)s", column=quoted(cell), hint=hint
                    ),
                    line=header.line,
                )
            )
        columns[position] = column
    faults += [
        InputFault(
            message=sentence("the column %(column)s is missing", column=column),
            line=header.line,
            column=column,
        )
        for column in ("wallet", "category")
        if column not in columns.values()
    ]
    return columns, faults


def cells_of(rows: Iterable[ThresholdRow]) -> Iterator[tuple[Cell, ...]]:
    """Yield the header and a row of cells for each threshold row, in the order of scopes."""
    yield HEADER
    for row in sorted(rows, key=lambda row: (row.wallet, row.category or "")):
        yield _cells(row)


def cells_of_all(
    book: ThresholdBook, known: Sequence[WalletName], views: Iterable[BalanceView] | None = None
) -> Iterator[tuple[Cell, ...]]:
    """Yield the header, all rows that aren't a known balance's own, then every known balance with its effective limits.

    With `views` the present figures of each balance are added.
    """
    figures = FIGURES if views is not None else ()
    yield (*HEADER, *(EFFECTIVE_PREFIX + column for column in COLUMNS), *figures)
    views_by_key = {view.key: view for view in views or ()}
    by_scope = {row.scope: row for row in book.rows}
    balances = [(wallet, category) for wallet in known for category in Category]
    own = {Scope(*balance) for balance in balances}
    for row in sorted(book.rows, key=lambda row: (row.wallet, row.category or "")):
        if row.scope not in own:
            yield (*_cells(row), *("" for _ in (*COLUMNS, *figures)))
    for wallet, category in balances:
        own_row = by_scope.get(Scope(wallet, category), ThresholdRow(wallet=wallet, category=category))
        effective = book.effective(wallet, category)
        yield (
            *_cells(own_row),
            *_effective_cells(effective),
            *(_figures(views_by_key.get(BalanceKey(wallet, category)), effective.limits) if figures else ()),
        )


def _figures(view: BalanceView | None, limits: Limits) -> tuple[Cell, ...]:
    """Return the cells of `FIGURES`; '' = not known."""
    if view is None or not isinstance(view.reading, int):
        return ("",) * len(FIGURES)
    runway, rate = view.estimate.runway, view.estimate.usual_burn_per_day or view.estimate.burn_per_day
    return (
        view.reading,
        "" if rate is None else round(rate),
        "" if runway is None or runway.p50 > NO_END_HOURS else round(runway.p50 / 24, 1),
        *(
            "" if not rate or count is None else round(count / rate, 1)
            for count in (limits.warning_below, limits.critical_below)
        ),
    )


def _cells(row: ThresholdRow) -> tuple[Cell, ...]:
    return (row.wallet, row.category or "*", *(_cell(getattr(row, column)) for column in COLUMNS))


def _effective_cells(effective: Effective) -> tuple[Cell, ...]:
    limits = effective.limits
    values = (limits.warning_below, limits.critical_below, limits.warning_days, limits.critical_days)
    return (*(_cell(value) for value in values), _cell(effective.lead_time_days), effective.note)


def _cell(value: object) -> Cell:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float) else written(value)  # type: ignore[arg-type] # off, a note or None


def _read(
    sheet: Sequence[SheetRow], known: Sequence[WalletName], rows: Collection[ThresholdRow]
) -> tuple[list[RowEdit], list[InputFault], Collection[str]]:
    """Return the edits, the faults, and the columns of the sheet.

    Reading stops after `MAX_FAULTS`: such a sheet is of another kind.
    """
    if not sheet:
        return (
            [],
            [
                InputFault(
                    message=sentence("the sheet is empty: its header is %(header)s", header=",".join(HEADER)),
                    line=1,
                )
            ],
            HEADER,
        )
    header, *body = sheet
    columns, faults = read_header(header)
    if faults:
        return [], faults, HEADER
    reader = _RowReader(columns, known, {row.wallet for row in rows})
    edits: list[RowEdit] = []
    seen: dict[Scope, int] = {}
    for row in body:
        if len(faults) >= MAX_FAULTS:
            faults.append(InputFault(message=sentence("the rows below were not checked"), line=row.line))
            break
        edit, row_faults = reader.read(row)
        faults += row_faults
        if edit is None:
            continue
        earlier = seen.setdefault(edit.scope, row.line)
        if earlier == row.line:
            edits.append(edit)
        else:
            message = sentence("%(scope)s is already in line %(line)s", scope=str(edit.scope), line=earlier)
            faults.append(InputFault(message=message, line=row.line, column="wallet"))
    return edits, faults, columns.values()


class _RowReader:
    """Reads the rows below one header."""

    def __init__(
        self, columns: Mapping[int, str], known: Sequence[WalletName], with_rows: Collection[str]
    ) -> None:
        """`known` are the configured wallets; `with_rows` the wallets and patterns that have rows."""
        self._columns = columns
        self._known = frozenset(known)
        self._with_rows = with_rows
        self._wallet_at = next(at for at, column in columns.items() if column == "wallet")
        self._hints: dict[str, Sentence] = {}

    def read(self, row: SheetRow) -> tuple[RowEdit | None, list[InputFault]]:
        """Return the edit of a row, or all its faults."""
        faults: list[InputFault] = []
        if any(cell.strip() for at, cell in enumerate(row.cells) if at not in self._columns):
            faults.append(InputFault(message=sentence("has a cell that is under no column"), line=row.line))
        cells = {
            column: unguarded(row.cells[at].strip()) if at < len(row.cells) else ""
            for at, column in self._columns.items()
            if not column.startswith(_SHOWN_ONLY)
        }
        if self._wallet_at < len(row.cells) and row.cells[self._wallet_at] in self._known:
            cells["wallet"] = row.cells[self._wallet_at]  # a name may begin or end with a space
        wallet, category = self._wallet(cells.pop("wallet")), read_category(cells.pop("category"))
        faults += [
            InputFault(message=value, line=row.line, column=column)
            for column, value in (("wallet", wallet), ("category", category))
            if isinstance(value, Sentence)
        ]
        blank = ThresholdRow(
            wallet=wallet if isinstance(wallet, str) else "",
            category=None if isinstance(category, Sentence) else category,
        )
        patched = patch_row(blank, cells, comma_is_decimal=row.comma_is_decimal)
        if isinstance(patched, tuple):
            faults += [replace(fault, line=row.line) for fault in patched]
        if faults or isinstance(patched, tuple):
            return None, faults
        return RowEdit.put(patched, line=row.line), []

    def _wallet(self, text: str) -> str | Sentence:
        """Read the wallet. One that isn't configured and has no row yet is a mistake."""
        wallet = read_wallet(text)
        if isinstance(wallet, Sentence) or "*" in wallet:
            return wallet
        if wallet in self._known or wallet in self._with_rows:
            return wallet
        if wallet not in self._hints:
            near = did_you_mean(wallet, self._known) if len(self._hints) < MAX_GUESSES else NO_SENTENCE
            self._hints[wallet] = near
        return unknown_wallet(wallet, self._hints[wallet])
