"""One wallet: how it stands, where it comes from and where it goes, what limits it, and what was told of it."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.domain.balance import WalletName
from balancebot.domain.threshold import Scope
from balancebot.explain.text import sections
from balancebot.forecast.course_ahead import LevelAhead
from balancebot.history.balances import HistoryHour, by_day, history_of
from balancebot.overview.balances import BalanceView, overview
from balancebot.store import alerts, planned_sends, wallets
from balancebot.store.wallets import WalletRow
from balancebot.web.alerts import with_reasons
from balancebot.web.chart import NARROW, WIDE, ChartCurve, ChartMark, ChartMarkKind, draw, future_levels
from balancebot.web.overview import row_of
from balancebot.web.overview_lists import OverviewGroup, group_of
from balancebot.web.rendering import phrases, show, wording
from balancebot.web.request import PageRequest
from balancebot.web.thresholds import threshold_line

_SPANS = (7, 30, 90)
"""Days of history that a chart can show."""
_STEPS = (
    (timedelta(days=10), timedelta(hours=1)),
    (timedelta(days=32), timedelta(hours=3)),
    (timedelta.max, timedelta(hours=12)),
)
_LISTED_DAYS = 14
_NUM_ALERTS = 20
_WORST_FIRST = list(OverviewGroup)


def wallet(visit: PageRequest) -> Response:
    """Show one wallet and, in full, one of its balances: the one asked for, else the worst."""
    site, name = visit.site, WalletName(visit.part("name"))
    days = next((span for span in _SPANS if str(span) == visit.asked("days")), 30)
    since = visit.now - timedelta(days=days)
    with site.database.read() as conn:
        row = wallets.find(conn, name)
        if row is None:
            raise HTTPException(404, "There is no such wallet.")
        book = site.thresholds.book(conn)
        views = overview(conn, book=book, stale_after=site.stale_after, now=visit.now, names=[name])
        view = _chosen(views, visit.asked("category"))
        stretches = history_of(conn, row.id, view.key.category, since=since, now=visit.now)
        told = with_reasons(site, conn, alerts.listed(conn, closed=True, wallet=name, limit=_NUM_ALERTS))
        advice = site.figures.advise(conn, [row], now=visit.now).get(view.key)
        end = visit.now + future_levels(visit.now - since, view.estimate.runway)
        ahead = _ahead(conn, visit, row, view, end)
        told_why = site.explain(conn, name, view.key.category, book, visit.now)
        announced = [plan for plan in planned_sends.not_over(conn, now=visit.now) if plan.balance == view.key]
    say, words = wording(site), phrases(site.language)
    curve = _curve(view, stretches, since=since, now=visit.now, until=end, ahead=ahead)
    title = words(
        "{balance}: the last {days} days, and what is to come",
        balance=f"{name} {say.category(view.key.category)}",
        days=days,
    )
    own = next((found for found in book.rows if found.scope == Scope(*view.key)), None)
    return show(
        visit,
        "wallet.html.j2",
        wallet=row,
        rows=[row_of(visit, one) for one in views],
        row=row_of(visit, view),
        view=view,
        charts=[draw(curve, paper, say=say, phrases=words, title=title) for paper in (WIDE, NARROW)],
        has_history=any(isinstance(one.reading, int) for one in stretches),
        has_fan=bool(ahead) and view.reading != 0,
        days=days,
        spans=_SPANS,
        listed_days=by_day(stretches, now=visit.now, days=min(days, _LISTED_DAYS)),
        line=threshold_line(Scope(*view.key), own, book, [name]),
        alerts=told,
        why=sections(told_why, say)[0].paragraphs,
        advice="" if advice is None else say.order(advice, view.key.category, now=visit.now),
        plans=announced,
    )


def _chosen(views: Sequence[BalanceView], category: str) -> BalanceView:
    asked = next((view for view in views if view.key.category.value == category), None)
    return asked or min(views, key=_badness)


def _badness(view: BalanceView) -> tuple[int, float]:
    runway = view.estimate.runway
    return _WORST_FIRST.index(group_of(view)), math.inf if runway is None else runway.judged


def _ahead(
    conn: Connection, visit: PageRequest, row: WalletRow, view: BalanceView, end: datetime
) -> tuple[LevelAhead, ...]:
    """Return the fan up to `end`, fine enough to show day and night where these can be seen."""
    snapshot = row.snapshot
    if snapshot is None or view.estimate.runway is None:
        return ()
    step = next(step for span, step in _STEPS if end - visit.now <= span)
    return visit.site.figures.estimator.course(
        conn, row.id, snapshot, view.key.category, until=end, step=step, now=visit.now
    )


def _curve(
    view: BalanceView,
    stretches: Sequence[HistoryHour],
    *,
    since: datetime,
    now: datetime,
    until: datetime,
    ahead: Sequence[LevelAhead],
) -> ChartCurve:
    marks = [
        ChartMark(at=one.begins_at, kind=kind, messages=messages)
        for one in stretches
        for kind, messages in (
            (ChartMarkKind.TOP_UP, one.topped_up),
            (ChartMarkKind.TRANSFER, one.transferred),
        )
        if messages
    ]
    return ChartCurve(
        points=[(min(one.ends_at, view.observed_at or now), one.reading) for one in stretches],
        marks=marks,
        since=since,
        now=now,
        reading=view.reading,
        observed_at=view.observed_at,
        until=until,
        ahead=ahead,
        limits=view.effective.limits,
        longest_gap=timedelta(hours=49 if any(_is_day(one) for one in stretches) else 4),
    )


def _is_day(stretch: HistoryHour) -> bool:
    return stretch.ends_at - stretch.begins_at > timedelta(hours=1)
