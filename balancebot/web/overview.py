"""The overview: every balance, worst first, filtered, counted and sorted."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from markupsafe import Markup
from starlette.responses import Response

from balancebot.domain.balance import Category
from balancebot.overview.balances import BalanceView
from balancebot.web.chart import runway_bar
from balancebot.web.overview_lists import OverviewFilter, OverviewGroup, SortOrder, group_of
from balancebot.web.paging import cut, page_number
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewRow:
    """One balance with its bar."""

    view: BalanceView
    group: OverviewGroup
    bar: Markup


def overview(request: PageRequest) -> Response:
    """Show a page of the balances that the address asks for."""
    look = request.app.latest.look(now=request.now)
    wanted = OverviewFilter(
        about=request.asked("q"),
        category=_word(Category, request.asked("category")),
        group=_word(OverviewGroup, request.asked("group")),
        order=_word(SortOrder, request.asked("order")) or SortOrder.WORST,
    )
    chosen, counts = request.lists.of(look, wanted)
    shown, paging = cut(chosen, page_number(request.asked("page")))
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
        num_all=len(look.views),
        paging=paging,
        as_of=look.at,
        categories=list(Category),
    )


def row_of(request: PageRequest, view: BalanceView) -> OverviewRow:
    """Return a balance with its bar drawn."""
    words = request.words.runway(view.estimate.runway)
    bar = runway_bar(view.estimate.runway, view.severity, view.effective.limits, words=words)
    return OverviewRow(view=view, group=group_of(view), bar=bar)


def _word(kind: type[_Word], text: str) -> _Word | None:
    return next((word for word in kind if word.value == text), None)
