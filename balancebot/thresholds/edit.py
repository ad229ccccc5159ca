"""Edits of thresholds: applied to the rows, or refused with all reasons. All or nothing, for every way of editing.

An edit that changes nothing is never refused, so an export can always be imported.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from balancebot.alerts.transitions import NotifiedAlert
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.sentence import NO_SENTENCE, Sentence, did_you_mean, sentence, unknown_wallet
from balancebot.domain.threshold import Inversion, Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import read_column, written
from balancebot.sheets import InputFault

COLUMNS = (
    "warning_below",
    "critical_below",
    "warning_days",
    "critical_days",
    "lead_time_days",
    "note",
)
"""The columns that a row can set, in the order of sheets."""

MAX_PATTERNS = 1_000
"""The most rows whose wallet is a pattern: each is compared with every wallet."""
MAX_GUESSES = 3
"""For how many unknown names the most similar one is searched: that takes tens of ms at 10,000 wallets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEdit:
    """One row to be stored completely, or to be removed."""

    scope: Scope
    row: ThresholdRow | None
    """None: remove the row. A row that sets nothing is removed too."""
    line: int | None = None
    """The line of the sheet with this edit; the header is line 1."""

    @classmethod
    def put(cls, row: ThresholdRow, *, line: int | None = None) -> "RowEdit":
        """Replace the row of the same scope, or add it."""
        return cls(scope=row.scope, row=None if row.sets_nothing else row, line=line)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One row before and after; None = no row."""

    scope: Scope
    before: ThresholdRow | None
    after: ThresholdRow | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that differ, in the order of sheets."""
        nothing = ThresholdRow(wallet=self.scope.wallet, category=self.scope.category)
        before, after = self.before or nothing, self.after or nothing
        return tuple(column for column in COLUMNS if getattr(before, column) != getattr(after, column))

    def __str__(self) -> str:
        """Return one line: `~ acme/checkout:voice  warning_below 1000 -> 2000, note inherit -> "call sales"`."""
        if self.before is None or self.after is None:
            row, sign = (self.after, "+") if self.before is None else (self.before, "-")
            columns = [f"{column} {_shown(row, column)}" for column in self.columns]
        else:
            sign = "~"
            columns = [
                f"{column} {_shown(self.before, column)} -> {_shown(self.after, column)}"
                for column in self.columns
            ]
        return f"{sign} {self.scope}  {', '.join(columns)}"


def _shown(row: ThresholdRow | None, column: str) -> str:
    text = written(getattr(row, column))
    if column == "note" and text:
        return '"' + text.replace("\n", " / ") + '"'
    return text or "inherit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The result of edits. With `faults` nothing may be stored."""

    rows: tuple[ThresholdRow, ...]
    changes: tuple[RowChange, ...]
    faults: tuple[InputFault, ...]
    warnings: tuple[InputFault, ...]
    notified: tuple[NotifiedAlert, ...] = ()
    """The alerts that were sent because the changes were judged at once."""


def balances_of(scope: Scope, known: Sequence[WalletName]) -> Iterator[BalanceKey]:
    """Yield the known balances that a scope covers."""
    pattern = WalletPattern(text=scope.wallet)
    names = (
        (WalletName(scope.wallet),) if pattern.is_exact else (name for name in known if pattern.matches(name))
    )
    for name in names:
        for category in Category if scope.category is None else (scope.category,):
            yield BalanceKey(name, category)


def patch_row(
    row: ThresholdRow, cells: Mapping[str, str], *, comma_is_decimal: bool = False
) -> ThresholdRow | tuple[InputFault, ...]:
    """Return `row` with the given columns changed, which are as a user typed them; or the fault of each."""
    values = {
        column: read_column(column, text, comma_is_decimal=comma_is_decimal) for column, text in cells.items()
    }
    faults = tuple(
        InputFault(message=value, column=column)
        for column, value in values.items()
        if isinstance(value, Sentence)
    )
    return faults or replace(row, **values)  # type: ignore[arg-type] # each reader gives its own column's type


def diff(before: Iterable[ThresholdRow], after: Iterable[ThresholdRow]) -> tuple[RowChange, ...]:
    """Return the differences between two sets of rows, in the order of scopes; the author of a row doesn't count."""
    old, new = {row.scope: row for row in before}, {row.scope: row for row in after}
    return tuple(
        RowChange(scope=scope, before=old.get(scope), after=new.get(scope))
        for scope in sorted(old.keys() | new.keys(), key=lambda scope: (scope.wallet, scope.category or ""))
        if old.get(scope) != new.get(scope)
    )


def apply_edits(
    rows: Iterable[ThresholdRow], edits: Sequence[RowEdit], known: Sequence[WalletName]
) -> Edited:
    """Apply `edits` to `rows`; `known` are the configured wallets.

    Refused are: an exact wallet name that isn't known (its row may still be removed), and a critical limit that becomes
    looser than the warning limit for a known balance, unless it was so before. A pattern that matches no known wallet
    gives a warning.
    """
    old = {row.scope: row for row in rows}
    new = dict(old)
    for edit in edits:
        if edit.row is None:
            new.pop(edit.scope, None)
        elif old.get(edit.scope) != edit.row:
            new[edit.scope] = edit.row
    changes = diff(old.values(), new.values())
    lines = {edit.scope: edit.line for edit in edits}
    put = [change.scope for change in changes if change.after is not None]
    if _num_patterns(new) > max(MAX_PATTERNS, _num_patterns(old)):
        message = sentence(
            "at most %(count)s rows may have a pattern as their wallet", count=f"{MAX_PATTERNS:,}"
        )
        return Edited(
            rows=tuple(old.values()), changes=(), faults=(InputFault(message=message),), warnings=()
        )
    missed = [edit.scope for edit in edits if edit.row is None and edit.scope not in old]
    return Edited(
        rows=tuple(new.values()),
        changes=changes,
        faults=(
            *_unknown_wallets([*put, *missed], known, lines),
            *_inversions(ThresholdBook(old.values()), ThresholdBook(new.values()), changes, known, lines),
        ),
        warnings=tuple(_idle_patterns(put, known, lines)),
    )


_Lines = dict[Scope, int | None]


def _num_patterns(rows: Iterable[Scope]) -> int:
    return sum("*" in scope.wallet for scope in rows)


def _unknown_wallets(named: list[Scope], known: Sequence[WalletName], lines: _Lines) -> Iterator[InputFault]:
    names = frozenset(known)
    hints: dict[str, Sentence] = {}
    for scope in named:
        if "*" in scope.wallet or scope.wallet in names:
            continue
        if scope.wallet not in hints:
            hints[scope.wallet] = (
                did_you_mean(scope.wallet, names) if len(hints) < MAX_GUESSES else NO_SENTENCE
            )
        yield InputFault(
            message=unknown_wallet(scope.wallet, hints[scope.wallet]),
            line=lines[scope],
            column="wallet",
        )


def _idle_patterns(put: list[Scope], known: Sequence[WalletName], lines: _Lines) -> Iterator[InputFault]:
    for scope in put:
        pattern = WalletPattern(text=scope.wallet)
        if not pattern.is_exact and not any(pattern.matches(name) for name in known):
            yield InputFault(
                message=sentence("%(name)s matches no configured wallet", name=scope.wallet),
                line=lines[scope],
                column="wallet",
            )


def _inversions(
    before: ThresholdBook,
    after: ThresholdBook,
    changes: Sequence[RowChange],
    known: Sequence[WalletName],
    lines: _Lines,
) -> Iterator[InputFault]:
    """Report once each pair of rows that contradict each other since the change, with the first such balance."""
    changed = {change.scope for change in changes}
    touched = {scope.wallet for scope in changed}
    patterns = [pattern for pattern in (WalletPattern(text=text) for text in touched) if not pattern.is_exact]
    balances = [
        BalanceKey(wallet, category)
        for wallet in known
        if wallet in touched or any(pattern.matches(wallet) for pattern in patterns)
        for category in Category
    ]
    by_rows: dict[tuple[object, ...], list[Inversion]] = {}
    for inversion in after.inversions(balances):
        if inversion not in before.inversions([inversion.balance]):
            rows = (inversion.critical_column, inversion.critical_from, inversion.warning_from)
            by_rows.setdefault(rows, []).append(inversion)
    for inversions in by_rows.values():
        first = inversions[0]
        scope, column = next(
            (
                (scope, column)
                for scope, column in (
                    (first.critical_from, first.critical_column),
                    (first.warning_from, first.warning_column),
                )
                if scope in changed
            ),
            (None, ""),
        )
        fault = first.sentence
        if len(inversions) > 1:
            fault = sentence("%(fault)s, and %(count)s more", fault=fault, count=f"{len(inversions) - 1:,}")
        yield InputFault(
            message=fault,
            line=None if scope is None else lines[scope],
            column=column,
        )
