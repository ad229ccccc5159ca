"""The limits of a balance and where each comes from: the most specific row that sets a column decides that column.

A row applies to a scope: a wallet or a pattern of wallets, with one category or all. The built-in row comes after all
others. `None` in a row inherits; `OFF` means no limit, and ends the search as a number does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.sentence import Sentence, sentence


class LimitColumn(StrEnum):
    """The four limits, as they are named in files, tables and pages."""

    WARNING_BELOW = "warning_below"
    CRITICAL_BELOW = "critical_below"
    WARNING_DAYS = "warning_days"
    CRITICAL_DAYS = "critical_days"


COLUMN_NAMES = {
    "wallet": sentence("wallet"),
    "category": sentence("category"),
    LimitColumn.WARNING_BELOW: sentence("warning_below"),
    LimitColumn.CRITICAL_BELOW: sentence("critical_below"),
    LimitColumn.WARNING_DAYS: sentence("warning_days"),
    LimitColumn.CRITICAL_DAYS: sentence("critical_days"),
    "lead_time_days": sentence("lead_time_days"),
    "note": sentence("note"),
}
"""The columns of a row as sentences name them: in English the names that files use."""


class Off(Enum):
    """No limit, even if a less specific row sets one."""

    OFF = "off"


OFF: Final = Off.OFF

Count: TypeAlias = int | Literal[Off.OFF] | None
"""A limit in messages, none (OFF), or inherited (None)."""
Days: TypeAlias = float | Literal[Off.OFF] | None
"""A limit in days of runway, none (OFF), or inherited (None)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The effective limits of one balance; None = off or not set. Counts in messages, runways in days."""

    warning_below: int | None = None
    critical_below: int | None = None
    warning_days: float | None = None
    critical_days: float | None = None

    @property
    def any(self) -> bool:
        """Whether at least one limit applies."""
        return any(
            limit is not None
            for limit in (self.warning_below, self.critical_below, self.warning_days, self.critical_days)
        )


class Scope(NamedTuple):
    """What a row applies to. Printed as `acme/*:market`, `acme:*`."""

    wallet: str
    """A wallet's name or a pattern of names."""
    category: Category | None = None
    """None: every category, written `*`."""

    def __str__(self) -> str:
        return f"{self.wallet}:{self.category or '*'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """The limits of one scope as people set them. Rows are equal if their values are; who wrote them doesn't count."""

    wallet: str
    category: Category | None = None
    """None: every category, written `*`."""
    warning_below: Count = None
    critical_below: Count = None
    warning_days: Days = None
    critical_days: Days = None
    lead_time_days: float | None = None
    """How long a purchase takes; None inherits."""
    note: str = ""
    """Who acts and what to do; '' inherits."""
    updated_at: datetime | None = field(default=None, compare=False)
    updated_by: str = field(default="", compare=False)

    @property
    def scope(self) -> Scope:
        """What the row applies to."""
        return Scope(self.wallet, self.category)

    @property
    def sets_nothing(self) -> bool:
        """Whether every column inherits: such a row has no effect and is not stored."""
        return self == ThresholdRow(wallet=self.wallet, category=self.category)


BUILT_IN: Final = ThresholdRow(wallet="*", warning_days=7, critical_days=3, lead_time_days=3)
"""The values where no row sets others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """The row that each column of an `Effective` comes from; None = the built-in one, or set nowhere."""

    warning_below: Scope | None = None
    critical_below: Scope | None = None
    warning_days: Scope | None = None
    critical_days: Scope | None = None
    lead_time_days: Scope | None = None
    note: Scope | None = None

    def of(self, column: LimitColumn) -> Scope | None:
        """Return the row that the limit `column` comes from."""
        scope: Scope | None = getattr(self, column.value)
        return scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What applies to one balance, and which rows it comes from."""

    limits: Limits
    lead_time_days: float
    note: str
    origins: Origins

    @property
    def set_by_people(self) -> bool:
        """Whether any of the limits comes from a row, even if it is off."""
        return any(self.origins.of(column) is not None for column in LimitColumn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion:
    """A balance whose critical limit is looser than its warning limit: it would turn critical before it warns."""

    balance: BalanceKey
    critical_column: LimitColumn
    critical: float
    critical_from: Scope | None
    warning_column: LimitColumn
    warning: float
    warning_from: Scope | None

    @property
    def sentence(self) -> Sentence:
        """The contradiction, with both limits and the rows that they come from."""
        return sentence(
            "%(balance)s: %(critical)s is looser than %(warning)s",
            balance=str(self.balance),
            critical=_limit(self.critical_column, self.critical, self.critical_from),
            warning=_limit(self.warning_column, self.warning, self.warning_from),
        )

    def __str__(self) -> str:
        return str(self.sentence)


def _limit(column: LimitColumn, limit: float, scope: Scope | None) -> Sentence:
    name = COLUMN_NAMES[column]
    if scope is None:
        return sentence("%(column)s %(limit)s (built in)", column=name, limit=f"{limit:g}")
    return sentence("%(column)s %(limit)s (from %(row)s)", column=name, limit=f"{limit:g}", row=str(scope))


class ThresholdBook:
    """All rows, indexed so that tens of thousands of balances can be looked up quickly. Immutable; results are cached.

    Exact names are looked up in a dict, patterns by the text before their first `*`.
    """

    def __init__(self, rows: Iterable[ThresholdRow]) -> None:
        ranked = sorted(
            ((WalletPattern(text=row.wallet), row) for row in rows),
            key=lambda pair: (pair[0].rank, pair[1].category or "~"),
        )
        self.rows: Final = tuple(row for _, row in ranked)
        """The most specific first."""
        self._exact: dict[str, tuple[int, ...]] = {}
        self._by_prefix: dict[str, list[tuple[WalletPattern, tuple[int, ...]]]] = {}
        for pattern, group in groupby(range(len(ranked)), key=lambda index: ranked[index][0]):
            if pattern.is_exact:
                self._exact[pattern.text] = tuple(group)
            else:
                self._by_prefix.setdefault(pattern.prefix, []).append((pattern, tuple(group)))
        self._prefix_lengths = sorted({len(prefix) for prefix in self._by_prefix})
        self._answers: dict[BalanceKey, Effective] = {}
        self._merged: dict[tuple[int, ...], Effective] = {}

    def effective(self, wallet: WalletName, category: Category) -> Effective:
        """Return what applies to one balance: each column comes from the most specific row that sets it.

        The wallet counts first (an exact name before a pattern; of two patterns the one with more characters other than
        `*`, then the alphabetically first), then the category (a name before `*`).
        """
        key = BalanceKey(wallet, category)
        answer = self._answers.get(key)
        if answer is None:
            self._remember(wallet)
            answer = self._answers[key]
        return answer

    def inversions(self, balances: Iterable[BalanceKey]) -> Iterator[Inversion]:
        """Yield each pair of limits in messages or in days whose critical limit is looser than the warning limit."""
        for balance in balances:
            effective = self.effective(*balance)
            limits, origins = effective.limits, effective.origins
            for critical_column, critical, warning_column, warning in (
                (
                    LimitColumn.CRITICAL_BELOW,
                    limits.critical_below,
                    LimitColumn.WARNING_BELOW,
                    limits.warning_below,
                ),
                (
                    LimitColumn.CRITICAL_DAYS,
                    limits.critical_days,
                    LimitColumn.WARNING_DAYS,
                    limits.warning_days,
                ),
            ):
                if critical is not None and warning is not None and critical > warning:
                    yield Inversion(
                        balance=balance,
                        critical_column=critical_column,
                        critical=critical,
                        critical_from=origins.of(critical_column),
                        warning_column=warning_column,
                        warning=warning,
                        warning_from=origins.of(warning_column),
                    )

    def _remember(self, wallet: WalletName) -> None:
        matching = list(self._exact.get(wallet, ()))
        for length in self._prefix_lengths:
            if length > len(wallet):
                break
            for pattern, indexes in self._by_prefix.get(wallet[:length], ()):
                if pattern.matches(wallet):
                    matching += indexes
        matching.sort()
        for category in Category:
            chain = tuple(index for index in matching if self.rows[index].category in {category, None})
            merged = self._merged.get(chain)
            if merged is None:
                merged = self._merged[chain] = _merge([self.rows[index] for index in chain])
            self._answers[BalanceKey(wallet, category)] = merged


def _merge(chain: list[ThresholdRow]) -> Effective:
    """Take each column from the first row of `chain` that sets it, the built-in row last."""
    origins = {
        column: next((row.scope for row in chain if getattr(row, column) not in {None, ""}), None)
        for column in (
            "warning_below",
            "critical_below",
            "warning_days",
            "critical_days",
            "lead_time_days",
            "note",
        )
    }
    by_scope = {row.scope: row for row in chain}

    def deciding(column: str) -> ThresholdRow:
        scope = origins[column]
        return BUILT_IN if scope is None else by_scope[scope]

    warning_below = deciding("warning_below").warning_below
    critical_below = deciding("critical_below").critical_below
    warning_days = deciding("warning_days").warning_days
    critical_days = deciding("critical_days").critical_days
    return Effective(
        limits=Limits(
            warning_below=None if warning_below is OFF else warning_below,
            critical_below=None if critical_below is OFF else critical_below,
            warning_days=None if warning_days is OFF else warning_days,
            critical_days=None if critical_days is OFF else critical_days,
        ),
        lead_time_days=deciding("lead_time_days").lead_time_days or 0.0,
        note=deciding("note").note,
        origins=Origins(**origins),
    )
