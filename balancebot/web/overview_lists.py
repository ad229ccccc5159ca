"""Which balances the overview shows and in which order: filtered, counted and sorted, a page at a time."""

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
    """By what the list is sorted."""

    WORST = "worst"
    NAME = "name"
    BALANCE = "balance"
    BURN = "burn"
    RUNWAY = "runway"
    READ = "read"
    """The one that was read longest ago first."""


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
    """What is asked for."""

    about: str = ""
    """A part of a wallet's name, or a pattern."""
    category: Category | None = None
    group: OverviewGroup | None = None
    """None: all but the unallocated ones, which say nothing."""
    order: SortOrder = SortOrder.WORST


def group_of(view: BalanceView) -> OverviewGroup:
    """Return how a balance is counted."""
    if view.reading is Absent.UNALLOCATED:
        return OverviewGroup.UNALLOCATED
    return OverviewGroup(severity_shown(view).word)


def severity_shown(view: BalanceView) -> Severity:
    """Return the severity that pages show: a wallet whose keys are rejected is never green, whatever was read before."""
    is_rejected = view.wallet_alert_kind is AlertKind.CREDENTIALS_REJECTED
    return Severity.UNKNOWN if is_rejected and view.severity is Severity.OK else view.severity


def choose(
    views: Iterable[BalanceView], wanted: OverviewFilter
) -> tuple[Sequence[BalanceView], Mapping[OverviewGroup, int]]:
    """Return the balances asked for, sorted, and how many of each group there are whatever group is asked for."""
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
    """Remembers what was chosen of one look: pages are turned and renewed far more often than wallets are read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._look: OverviewSnapshot | None = None
        self._chosen: dict[OverviewFilter, tuple[Sequence[BalanceView], Mapping[OverviewGroup, int]]] = {}

    def of(
        self, look: OverviewSnapshot, wanted: OverviewFilter
    ) -> tuple[Sequence[BalanceView], Mapping[OverviewGroup, int]]:
        """Return what `choose` returns."""
        with self._lock:
            if look is not self._look or len(self._chosen) >= _MAX_REMEMBERED:
                self._look, self._chosen = look, {}
            chosen = self._chosen.get(wanted)
            if chosen is None:
                chosen = self._chosen[wanted] = choose(look.views, wanted)
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
    """Return by what a list in `order` is sorted."""
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
