"""The overview: all balances, the worst first, filtered, counted and sorted."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from markupsafe import Markup
from starlette.responses import Response

from balancebot.domain.balance import Absent, Category
from balancebot.domain.runway import NO_END_HOURS
from balancebot.domain.verdict import Severity
from balancebot.overview.balances import BalanceView, is_too_young
from balancebot.sheet_writer import Cell
from balancebot.web.chart import runway_bar
from balancebot.web.downloads import MAX_IN_CSV, csv_file, instant_cell
from balancebot.web.overview_lists import OverviewFilter, OverviewGroup, SortOrder, group_of, severity_shown
from balancebot.web.paging import cut, page_number
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewRow:
    """One balance with its runway bar."""

    view: BalanceView
    group: OverviewGroup
    severity: Severity
    """The severity that is shown."""
    bar: Markup


_CSV_HEADER = (
    "wallet",
    "category",
    "state",
    "balance",
    "usage_per_day",
    "runway_days",
    "severity",
    "observed_at",
    "warning_below",
    "critical_below",
    "warning_days",
    "critical_days",
)


def to_csv(request: PageRequest) -> Response:
    """Send all balances that match the address, from all pages, as CSV."""
    chosen, _ = request.lists.of(request.app.latest.read(now=request.now), _wanted(request))
    return csv_file([_CSV_HEADER, *map(_csv_row, chosen[:MAX_IN_CSV])], "balances.csv")


def _csv_row(view: BalanceView) -> tuple[Cell, ...]:
    reading, estimate, limits = view.reading, view.estimate, view.effective.limits
    runway = estimate.runway
    return (
        view.key.wallet,
        view.key.category.value,
        reading.value if isinstance(reading, Absent) else "known",
        reading if isinstance(reading, int) else "",
        "" if estimate.burn_per_day is None else round(estimate.burn_per_day),
        "" if runway is None or runway.p50 > NO_END_HOURS else round(runway.p50 / 24, 2),
        view.severity.word,
        instant_cell(view.observed_at),
        *(
            "" if limit is None else limit
            for limit in (
                limits.warning_below,
                limits.critical_below,
                limits.warning_days,
                limits.critical_days,
            )
        ),
    )


def overview(request: PageRequest) -> Response:
    """Show a page of the balances that match the address."""
    snapshot = request.app.latest.read(now=request.now)
    wanted = _wanted(request)
    chosen, counts = request.lists.of(snapshot, wanted)
    shown, paging = cut(chosen, page_number(request.query("page")))
    return show(
        request,
        "overview.html.j2",
        rows=[row_of(request, view) for view in shown],
        wanted=wanted,
        asked={
            "q": wanted.about,
            "category": wanted.category or "",
            "group": wanted.group or "",
            "order": "" if wanted.order is SortOrder.WORST else wanted.order,
        },
        counts={
            group: counts.get(group, 0) for group in OverviewGroup if group is not OverviewGroup.UNALLOCATED
        },
        num_unallocated=counts.get(OverviewGroup.UNALLOCATED, 0),
        num_all=len(snapshot.views),
        paging=paging,
        as_of=snapshot.at,
        is_young=is_too_young(request.app.database, snapshot.views, now=request.now),
        categories=list(Category),
    )


def _wanted(request: PageRequest) -> OverviewFilter:
    return OverviewFilter(
        about=request.query("q"),
        category=_word(Category, request.query("category")),
        group=_word(OverviewGroup, request.query("group")),
        order=_word(SortOrder, request.query("order")) or SortOrder.WORST,
    )


def row_of(request: PageRequest, view: BalanceView) -> OverviewRow:
    """Return a balance with its runway bar."""
    words = request.words.runway(view.estimate.runway)
    severity = severity_shown(view)
    bar = runway_bar(view.estimate.runway, severity, view.effective.limits, words=words)
    return OverviewRow(view=view, group=group_of(view), severity=severity, bar=bar)


def _word(kind: type[_Word], text: str) -> _Word | None:
    return next((word for word in kind if word.value == text), None)
