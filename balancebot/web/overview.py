"""The overview: every balance, worst first, found in an instant among tens of thousands."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from markupsafe import Markup
from starlette.responses import Response

from balancebot.domain.balance import Category
from balancebot.usecases.showing.overview import BalanceView
from balancebot.web.balances_list import Filter, Group, Order, group_of
from balancebot.web.paging import cut, page_number
from balancebot.web.rendering import show, wording
from balancebot.web.runway_bar import runway_bar
from balancebot.web.visit import Visit

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One balance with its bar."""

    view: BalanceView
    group: Group
    bar: Markup


def overview(visit: Visit) -> Response:
    """Show a page of the balances that the address asks for."""
    look = visit.site.latest.look(now=visit.now)
    wanted = Filter(
        about=visit.asked("q"),
        category=_word(Category, visit.asked("category")),
        group=_word(Group, visit.asked("group")),
        order=_word(Order, visit.asked("order")) or Order.WORST,
    )
    chosen, counts = visit.site.lists.of(look, wanted)
    shown, paging = cut(chosen, page_number(visit.asked("page")))
    return show(
        visit,
        "overview.html.j2",
        rows=[row_of(visit, view) for view in shown],
        wanted=wanted,
        asked={
            "q": wanted.about,
            "category": wanted.category or "",
            "group": wanted.group or "",
            "order": "" if wanted.order is Order.WORST else wanted.order,
        },
        counts={group: counts.get(group, 0) for group in Group if group is not Group.UNALLOCATED},
        num_unallocated=counts.get(Group.UNALLOCATED, 0),
        num_all=len(look.views),
        paging=paging,
        as_of=look.at,
        categories=list(Category),
    )


def row_of(visit: Visit, view: BalanceView) -> Row:
    """Return a balance with its bar drawn."""
    words = wording(visit.site).runway(view.estimate.runway)
    bar = runway_bar(view.estimate.runway, view.severity, view.effective.limits, words=words)
    return Row(view=view, group=group_of(view), bar=bar)


def _word(kind: type[_Word], text: str) -> _Word | None:
    return next((word for word in kind if word.value == text), None)
