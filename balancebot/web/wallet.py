"""The page of a wallet: balances, next reading, chart, limits, alerts and their messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.domain.balance import Absent, Category, WalletName
from balancebot.domain.local_time import first_instant, local_time, read_day_end
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.threshold import Scope
from balancebot.domain.verdict import urgency
from balancebot.explain.explain import explain
from balancebot.explain.render import Face, render
from balancebot.forecast.course_ahead import LevelAhead
from balancebot.history.balances import HistoryHour, by_day, history_of
from balancebot.overview.balances import BalanceView, overview
from balancebot.store import alerts, readings, wallets, wrong_readings
from balancebot.store.wallets import WalletRow
from balancebot.web.alerts import with_reasons
from balancebot.web.chart import NARROW, WIDE, ChartCurve, ChartMark, ChartMarkKind, draw, future_levels
from balancebot.web.downloads import csv_file, instant_cell
from balancebot.web.overview import row_of
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest
from balancebot.web.thresholds import threshold_line

_SPANS = (7, 30, 90)
"""The spans of history that a chart offers, in days."""
_STEPS = (
    (timedelta(days=10), timedelta(hours=1)),
    (timedelta(days=32), timedelta(hours=3)),
    (timedelta.max, timedelta(hours=12)),
)
_LONGEST = timedelta(days=400)
"""The longest range that can be typed: hourly readings are kept for this long."""
_LISTED_DAYS = 14
_MOST_ROWS = 400_000
"""How many readings of all wallets a chart reads for its extremes: a fifth of a second."""
_BUCKETS = 400
_MINUTE = timedelta(minutes=1)
_NUM_ALERTS = 20
_NUM_WRONG = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartRange:
    """The time that the chart shows: the last days and the forecast, or days of the past."""

    since: datetime
    until: datetime
    """Now, or the end of the last day of a typed range."""
    days: int | None
    """How many days up to now; None: a typed range."""
    is_past: bool = False

    @property
    def length(self) -> timedelta:
        """The length of the past that the chart shows."""
        return self.until - self.since


def wallet(request: PageRequest) -> Response:
    """Show a wallet, and one of its balances in full: the chosen one, or the worst."""
    app, name = request.app, WalletName(request.part("name"))
    span = _asked_range(request)
    fault = request.words.translate(span) if isinstance(span, Sentence) else ""
    if isinstance(span, Sentence):
        span = _last_days(request, 30)
    since = span.since
    with app.database.read() as conn:
        row = _known(conn, name)
        book = app.thresholds.book(conn)
        views = overview(
            conn, book=book, stale_after=app.settings.poll.stale_after, now=request.now, names=[name]
        )
        view = _chosen(views, request.query("category"))
        stretches = _stretches(conn, row, view.key.category, span)
        extremes = _extremes(conn, request, row, view.key.category, since=since, until=span.until)
        entries = with_reasons(
            conn, alerts.listed(conn, closed=True, wallet=name, limit=_NUM_ALERTS), request.words
        )
        advice = app.figures.advise(conn, [row], now=request.now).get(view.key)
        end = span.until if span.is_past else span.until + future_levels(span.length, view.estimate.runway)
        ahead = () if span.is_past else _ahead(conn, request, row, view, end)
        explanation = explain(
            conn,
            name,
            view.key.category,
            settings=app.settings,
            book=book,
            figures=app.figures,
            now=request.now,
        )
        wrong = wrong_readings.between(conn, since=since, until=span.until, balances=[view.key])
    words = request.words
    curve = replace(
        _curve(view, stretches, since=since, now=request.now, until=end, ahead=ahead), extremes=extremes
    )
    if span.is_past:
        curve = replace(curve, reading=Absent.UNREAD, observed_at=None)
    balance = f"{name} {words.category(view.key.category)}"
    first, last = (f"{local_time(at, request.zone):%Y-%m-%d}" for at in (since, span.until - _MINUTE))
    title = (
        words.gettext("%(balance)s: from %(first)s to %(last)s", balance=balance, first=first, last=last)
        if span.days is None
        else words.gettext(
            "%(balance)s: the last %(days)s days and the forecast", balance=balance, days=span.days
        )
    )
    own = next((found for found in book.rows if found.scope == Scope(*view.key)), None)
    return show(
        request,
        "wallet.html.j2",
        wallet=row,
        rows=[row_of(request, other) for other in views],
        row=row_of(request, view),
        view=view,
        charts=[draw(curve, paper, words=words, title=title) for paper in (WIDE, NARROW)],
        has_history=any(isinstance(stretch.reading, int) for stretch in stretches),
        has_fan=bool(ahead) and view.reading != 0,
        fault=fault,
        days=span.days,
        spans=_SPANS,
        range={"from": first, "to": last},
        asked={"days": "" if span.days in {None, 30} else span.days}
        | ({"from": first, "to": last} if span.days is None else {}),
        today=f"{local_time(request.now, request.zone):%Y-%m-%d}",
        listed_days=by_day(stretches, now=span.until, days=min(_num_days(span), _LISTED_DAYS)),
        line=threshold_line(Scope(*view.key), own, book, [name]),
        alerts=entries,
        why=render(explanation, words, Face.PAGE),
        advice=words.with_ordered(
            words.order(advice, view.key.category, now=request.now), advice, now=request.now
        ),
        plans=[plan for balance in explanation.balances for plan in balance.planned],
        wrong_readings=wrong[-_NUM_WRONG:][::-1],
    )


def days_to_csv(request: PageRequest) -> Response:
    """Send the days of the range that the address asks for, of one balance or of all of the wallet, as CSV."""
    span = _asked_range(request)
    if isinstance(span, Sentence):
        span = _last_days(request, 30)
    asked = [category for category in Category if category.value == request.query("category")]
    header = ("wallet", "category", "from", "until", "balance", "used", "topped_up", "transferred")
    with request.app.database.read() as conn:
        row = _known(conn, WalletName(request.query_exactly("wallet")))
        rows = [
            (
                row.name,
                category.value,
                instant_cell(day.ends_at - timedelta(days=1)),
                instant_cell(day.ends_at),
                day.reading if isinstance(day.reading, int) else "",
                day.use,
                day.topped_up,
                day.transferred,
            )
            for category in asked or Category
            for day in by_day(_stretches(conn, row, category, span), now=span.until, days=_num_days(span))
        ]
    return csv_file([header, *rows], "days.csv")


def _known(conn: Connection, name: WalletName) -> WalletRow:
    row = wallets.find(conn, name)
    if row is None:
        raise HTTPException(404, sentence("This wallet doesn't exist.").id)
    return row


def _stretches(
    conn: Connection, row: WalletRow, category: Category, span: ChartRange
) -> tuple[HistoryHour, ...]:
    found = history_of(conn, row.id, category, since=span.since, now=span.until)
    return tuple(stretch for stretch in found if not span.is_past or stretch.begins_at < span.until)


def _num_days(span: ChartRange) -> int:
    return -(-span.length // timedelta(days=1))


def _last_days(request: PageRequest, days: int) -> ChartRange:
    return ChartRange(since=request.now - timedelta(days=days), until=request.now, days=days)


def _asked_range(request: PageRequest) -> ChartRange | Sentence:
    """Return the range in the address, or what is wrong with its days."""
    typed = request.query("from"), request.query("to")
    if not any(typed):
        return _last_days(request, next((span for span in _SPANS if str(span) == request.query("days")), 30))
    ends = [None if not text else read_day_end(text, request.zone, now=request.now) for text in typed]
    for name, end in zip((sentence("The first day"), sentence("The last day")), ends, strict=True):
        if isinstance(end, Sentence):
            return sentence("%(field)s %(fault)s", field=name, fault=end)
    first, last = (end if isinstance(end, datetime) else None for end in ends)
    until = request.now if last is None else min(last + _MINUTE, request.now)
    begin = until - timedelta(days=30) if first is None else first
    since = first_instant(datetime.combine(local_time(begin, request.zone).date(), time.min), request.zone)
    if since >= until:
        return sentence("The first day must be before the last one, and not ahead.")
    if until - since > _LONGEST + timedelta(days=1):
        return sentence("At most %(days)s days are shown at once.", days=_LONGEST.days)
    return ChartRange(since=since, until=until, days=None, is_past=until < request.now)


def _extremes(
    conn: Connection,
    request: PageRequest,
    row: WalletRow,
    category: Category,
    *,
    since: datetime,
    until: datetime,
) -> list[tuple[datetime, int, int]]:
    """Return the lowest and highest reading of each bucket, as far back as they can be read quickly."""
    settings = request.app.settings
    rows_a_second = max(1, len(settings.wallets)) / settings.poll.fastest.total_seconds()
    end = int(until.timestamp()) + 1
    begin = max(int(since.timestamp()), int(end - _MOST_ROWS / rows_a_second))
    step = max(3600, (end - begin) // _BUCKETS)
    return [
        (datetime.fromtimestamp(at + step / 2, UTC), low, high)
        for at, low, high in readings.extremes_of(conn, row.id, category, since=begin, until=end, step=step)
    ]


def _chosen(views: Sequence[BalanceView], category: str) -> BalanceView:
    asked = next((view for view in views if view.key.category.value == category), None)
    return asked or min(views, key=_badness)


def _badness(view: BalanceView) -> tuple[bool, int, float]:
    return view.reading is Absent.UNALLOCATED, *urgency(view.severity, view.estimate.runway)


def _ahead(
    conn: Connection, request: PageRequest, row: WalletRow, view: BalanceView, end: datetime
) -> tuple[LevelAhead, ...]:
    """Return the forecast's range up to `end`, fine enough to show day and night if these differ."""
    snapshot = row.snapshot
    if snapshot is None or view.estimate.runway is None:
        return ()
    step = next(step for span, step in _STEPS if end - request.now <= span)
    return request.app.figures.estimator.course(
        conn, row.id, snapshot, view.key.category, until=end, step=step, now=request.now
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
        ChartMark(at=stretch.begins_at, kind=kind, messages=messages)
        for stretch in stretches
        for kind, messages in (
            (ChartMarkKind.TOP_UP, stretch.topped_up),
            (ChartMarkKind.TRANSFER, stretch.transferred),
        )
        if messages
    ]
    return ChartCurve(
        points=[
            (min(stretch.ends_at, view.observed_at or now, until), stretch.reading) for stretch in stretches
        ],
        marks=marks,
        since=since,
        now=now,
        reading=view.reading,
        observed_at=view.observed_at,
        until=until,
        ahead=ahead,
        limits=view.effective.limits,
        longest_gap=timedelta(hours=49 if any(_is_day(stretch) for stretch in stretches) else 4),
    )


def _is_day(stretch: HistoryHour) -> bool:
    return stretch.ends_at - stretch.begins_at > timedelta(hours=1)
