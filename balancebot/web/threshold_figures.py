"""The figures next to a limit that is edited: balance, usage, and what a count means in days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from balancebot.domain.balance import BalanceKey, WalletName
from balancebot.domain.runway import NO_END_DAYS, PlannedUse
from balancebot.domain.threshold import LimitColumn, Scope
from balancebot.domain.threshold_cell import read_column
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording
from balancebot.overview.balances import BalanceView
from balancebot.thresholds.edit import balances_of
from balancebot.web.overview_lists import SortOrder, sort_key
from balancebot.web.request import PageRequest

_HOURS_PER_DAY = 24.0
_LIMITS = frozenset(LimitColumn)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeFigures:
    """The present figures of the balances of one scope."""

    first: BalanceView | None
    """The balance that runs out first; None if none was read."""
    num_known: int
    """How many balances have a number."""
    rates: tuple[float, float] | None
    """The lowest and the highest usage in messages per day; None if there is no usage."""
    planned: Sequence[PlannedUse] = ()
    """The announced and expected sends of `first`, if that was asked for."""

    def meaning(self, column: str, text: str, words: Wording) -> str:
        """Return what a limit means: a count in days, days in messages; '' if that isn't known."""
        value = read_column(column, text) if column in _LIMITS else None
        if self.rates is None or not isinstance(value, int | float):
            return ""
        if column.endswith("_below"):
            shortest, longest = (_span(value / rate, words) for rate in reversed(self.rates))
        else:
            least, most = (_rounded(value * rate) for rate in self.rates)
            shortest, longest = (
                words.number(least) if least < most else words.messages(most),
                words.messages(most),
            )
        if shortest == longest:
            is_open_ended = shortest == words.gettext("more than a year")
            return shortest if is_open_ended else words.gettext("≈ %(span)s", span=shortest)
        return words.gettext("%(low)s to %(high)s", low=shortest, high=longest)


def _rounded(messages: float) -> int:
    """Round to three digits; the estimate isn't more precise."""
    return int(float(f"{messages:.3g}"))


def _span(days: float, words: Wording) -> str:
    if days > NO_END_DAYS:
        return words.gettext("more than a year")
    return words.span(days * _HOURS_PER_DAY)


class CurrentFigures:
    """The present balances, read once for all scopes of a page."""

    def __init__(self, request: PageRequest) -> None:
        views = request.app.latest.read(now=request.now).views
        self._views: Mapping[BalanceKey, BalanceView] = {view.key: view for view in views}
        self._known: Sequence[WalletName] = request.app.edit_thresholds.known()

    def of(self, scope: Scope) -> ScopeFigures:
        """Return the figures of a scope."""
        views = [
            view
            for key in balances_of(scope, self._known)
            if (view := self._views.get(key)) is not None and isinstance(view.reading, int)
        ]
        rates = [rate for view in views if (rate := usual_rate(view)) > 0]
        # a balance that was never more than 0 doesn't run out
        running = [view for view in views if view.reading or view.severity is not Severity.OK]
        return ScopeFigures(
            first=min(running or views, key=sort_key(SortOrder.RUNWAY), default=None),
            num_known=len(views),
            rates=(min(rates), max(rates)) if rates else None,
        )


def with_planned(figures: ScopeFigures, request: PageRequest) -> ScopeFigures:
    """Return figures with the sends of the balance that runs out first."""
    if figures.first is None:
        return figures
    key = figures.first.key
    with request.app.database.read() as conn:
        planned = request.app.figures.planned_of(conn, [key], now=request.now)
    return replace(figures, planned=planned.get(key, ()))


def usual_rate(view: BalanceView) -> float:
    """Return the usual usage of a balance in messages per day; 0 if it isn't known."""
    estimate = view.estimate
    return estimate.usual_burn_per_day or estimate.burn_per_day or 0.0
