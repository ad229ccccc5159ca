"""The lists of the overview: balances filtered, counted and sorted."""

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from balancebot.domain.alert import AlertKind
from balancebot.domain.balance import Absent, Category
from balancebot.domain.pattern import Pattern
from balancebot.domain.verdict import Severity, urgency
from balancebot.overview.balances import BalanceView
from balancebot.overview.latest import OverviewSnapshot

_MAX_REMEMBERED = 50


class SortOrder(StrEnum):
    """The order of the list."""

    WORST = "worst"
    NAME = "name"
    BALANCE = "balance"
    BURN = "burn"
    RUNWAY = "runway"
    READ = "read"
    """The balance that was read longest ago first."""


class OverviewGroup(StrEnum):
    """How a balance is counted: by its severity, or as unallocated."""

    DEPLETED = "depleted"
    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"
    UNALLOCATED = "unallocated"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFilter:
    """The filter and order in the address."""

    about: str = ""
    """A part of a wallet's name, or a pattern."""
    category: Category | None = None
    group: OverviewGroup | None = None
    """None: all except unallocated balances, which say nothing."""
    order: SortOrder = SortOrder.WORST


def group_of(view: BalanceView) -> OverviewGroup:
    """Return the group in which a balance is counted."""
    if view.reading is Absent.UNALLOCATED:
        return OverviewGroup.UNALLOCATED
    return OverviewGroup(severity_shown(view).word)


def severity_shown(view: BalanceView) -> Severity:
    """Return the severity for pages: a wallet whose keys are rejected is never green, whatever its last reading was."""
    is_rejected = view.wallet_alert_kind is AlertKind.CREDENTIALS_REJECTED
    return Severity.UNKNOWN if is_rejected and view.severity is Severity.OK else view.severity


def choose(
    views: Iterable[BalanceView], wanted: OverviewFilter
) -> tuple[Sequence[BalanceView], Mapping[OverviewGroup, int]]:
    """Return the balances that match, sorted, and the number of each group without regard to `wanted.group`."""
    matches = _matcher(wanted.about)
    named = [
        view
        for view in views
        if (wanted.category is None or view.key.category is wanted.category) and matches(view)
    ]
    groups = [group_of(view) for view in named]
    chosen = [
        view
        for view, group in zip(named, groups, strict=True)
        if (group is not OverviewGroup.UNALLOCATED if wanted.group is None else group is wanted.group)
    ]
    chosen.sort(key=_KEYS[wanted.order])
    return chosen, Counter(groups)


class OverviewLists:
    """Keeps the lists of one snapshot: people change pages far more often than wallets are read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot: OverviewSnapshot | None = None
        self._chosen: dict[OverviewFilter, tuple[Sequence[BalanceView], Mapping[OverviewGroup, int]]] = {}

    def of(
        self, snapshot: OverviewSnapshot, wanted: OverviewFilter
    ) -> tuple[Sequence[BalanceView], Mapping[OverviewGroup, int]]:
        """Return the result of `choose`."""
        with self._lock:
            if snapshot is not self._snapshot or len(self._chosen) >= _MAX_REMEMBERED:
                self._snapshot, self._chosen = snapshot, {}
            chosen = self._chosen.get(wanted)
            if chosen is None:
                chosen = self._chosen[wanted] = choose(snapshot.views, wanted)
            return chosen


def _matcher(about: str) -> Callable[[BalanceView], bool]:
    if not about:
        return lambda _: True
    pattern = Pattern.parse(about) if "*" in about or ":" in about else about
    if isinstance(pattern, Pattern):
        return lambda view: pattern.matches(*view.key)
    part = about.casefold()
    return lambda view: part in view.key.wallet.casefold()


def _number(view: BalanceView) -> float:
    return view.reading if isinstance(view.reading, int) else math.inf


def _worst_first(view: BalanceView) -> tuple[Any, ...]:
    is_unallocated = view.reading is Absent.UNALLOCATED
    return is_unallocated, *urgency(severity_shown(view), view.estimate.runway), _number(view), view.key


def sort_key(order: SortOrder) -> Callable[[BalanceView], Any]:
    """Return the sort key of an order."""
    return _KEYS[order]


_KEYS: Mapping[SortOrder, Callable[[BalanceView], Any]] = {
    SortOrder.WORST: _worst_first,
    SortOrder.NAME: lambda view: (view.key.wallet, list(Category).index(view.key.category)),
    SortOrder.BALANCE: lambda view: (_number(view), view.key),
    SortOrder.BURN: lambda view: (-(view.estimate.burn_per_day or 0.0), view.key),
    SortOrder.RUNWAY: lambda view: (urgency(view.severity, view.estimate.runway)[1], view.key),
    SortOrder.READ: lambda view: (
        view.observed_at is None,
        0.0 if view.observed_at is None else view.observed_at.timestamp(),
        view.key,
    ),
}
