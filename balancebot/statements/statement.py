"""Make a month's statement from the hourly roll-up: sums of its hours, openings and closings, orders."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, Category, WalletName, account_of, app_of
from balancebot.domain.local_time import json_instant
from balancebot.domain.order import AWAITED, Match, Order, TopUp
from balancebot.domain.statement import (
    NO_FLOWS,
    Flows,
    MonthSpan,
    SeenTopUp,
    Statement,
    StatementBy,
    StatementRow,
    days_of,
    month_span,
    summed,
    utc_days_of,
    with_equal_moves,
)
from balancebot.domain.usage import HOURS_PER_DAY, SECONDS_PER_HOUR
from balancebot.orders.orders import order_document
from balancebot.ports import Clock
from balancebot.store import orders, statements, wallets, wrong_readings
from balancebot.store.database import Database
from balancebot.store.statements import HoursRead, ValueAt
from balancebot.store.usage import Used
from balancebot.store.wallets import WalletRow

_STILL_THERE = HOURS_PER_DAY
"""For this many hours after its last reading, a balance counts as read at the end of a month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeStatements:
    """Makes monthly statements."""

    database: Database
    clock: Clock
    zone: ZoneInfo
    owners: Callable[[], Mapping[WalletName, str]]
    """Returns the owners of the configured wallets."""
    prices: Mapping[Category, Decimal]
    currency: str

    def make(
        self, month: date, *, account: str | None = None, by: StatementBy = StatementBy.WALLET
    ) -> Statement:
        """Return the statement of the month that begins with `month`, of one account or of all."""
        with self.database.read() as conn:
            return self.read(conn, month, account=account, by=by)

    def accounts(self) -> list[str]:
        """Return all accounts, including those that are no longer configured."""
        with self.database.read() as conn:
            return sorted({account_of(name) for name in wallets.ids(conn)})

    def read(
        self,
        conn: Connection,
        month: date,
        *,
        account: str | None = None,
        by: StatementBy = StatementBy.WALLET,
    ) -> Statement:
        """Return the statement, read in the transaction of `conn`."""
        now = self.clock.now()
        span = month_span(month.year, month.month, self.zone)
        # if the hours of a day were merged, the part before local midnight is no longer known
        start, end = (_after_folded(conn, hour) for hour in (span.start, span.end))
        span = MonthSpan(span.day, start, max(start, end))
        rows = wallets.all_wallets(conn, configured_only=False)
        members = [row for row in rows if account is None or row.account == account]
        owners = {**wallets.owners(conn), **self.owners()}
        days_in_utc = by is StatementBy.DAY and statements.any_folded(conn, since=span.start, until=span.end)
        spans = (
            [span]
            if by is not StatementBy.DAY
            else utc_days_of(span)
            if days_in_utc
            else days_of(span, self.zone)
        )
        now_hour = int(now.timestamp() // SECONDS_PER_HOUR) + 1
        spans = [part for part in spans if part.start < now_hour]
        lines_of_spans = _StatementLines(conn, members, owners, span, now_hour).of(spans, by)
        if by is StatementBy.DAY:
            lines, doubtful = _summed_days(lines_of_spans)
        else:
            lines = with_equal_moves([line for of_span in lines_of_spans for line in of_span])
            doubtful = sum(line.doubtful for line in lines)
        totals = summed(lines, None)
        accounts = None if account is None else [account]
        top_ups = orders.top_ups_between(conn, since=span.start, until=span.end, accounts=accounts)
        matches = orders.matches_of(conn, [top_up.id for top_up in top_ups])
        return Statement(
            month=span,
            timezone=self.zone.key,
            by=by,
            as_of=now,
            rows=tuple(summed(lines, by) if by is StatementBy.OWNER else lines),
            totals=tuple(totals if by is not StatementBy.DAY else _whole_month(totals, lines)),
            top_ups=tuple(
                SeenTopUp(top_up=top_up, messages=messages, order=order)
                for top_up in top_ups
                for order, messages in _parts(top_up, matches)
            ),
            orders=tuple(_of_month(orders.listed(conn, accounts=accounts), span, top_ups, matches, now)),
            wrong_readings=tuple(
                wrong
                for wrong in wrong_readings.between(conn, since=span.starts_at, until=span.ends_at)
                if account is None or account_of(wrong.balance.wallet) == account
            ),
            prices=dict(self.prices),
            currency=self.currency,
            days_in_utc=days_in_utc,
            doubtful=doubtful,
        )


class _StatementLines:
    """The rows of some wallets."""

    def __init__(
        self,
        conn: Connection,
        members: Sequence[WalletRow],
        owners: Mapping[WalletName, str],
        month: MonthSpan,
        now_hour: int,
    ) -> None:
        self._conn = conn
        self._members = members
        self._ids = {row.id for row in members}
        self._owners = owners
        self._month = month
        self._now_hour = now_hour

    def of(self, spans: Sequence[MonthSpan], by: StatementBy) -> Iterator[list[StatementRow]]:
        """Yield for each span a row for each balance that has data."""
        month, end = self._month, min(self._month.end, self._now_hour)
        of_month = statements.totals(self._conn, self._ids, since=month.start, until=month.end)
        read = of_month[1]
        before = openings = self._openings(month.start, read)
        allocated: set[tuple[int, Category]] = set()
        for span in spans:
            sums, read_in_span = (
                of_month
                if span == month
                else statements.totals(self._conn, self._ids, since=span.start, until=span.end)
            )
            lines: list[StatementRow] = []
            is_last = span is spans[-1]
            hour = end if is_last else span.end
            values = statements.values_at(self._conn, self._ids, hour=hour, deep=is_last)
            after: dict[tuple[int, Category], int] = {}
            for row in self._members:
                for category in Category:
                    key = (row.id, category)
                    watched = self._watched(row, category, read.get(key), has_opening=key in openings)
                    missing = _missing(watched, span.start, hour, read_in_span.get(key))
                    flows = _flows(sums.get(key, Used()))
                    closing = self._closing(row, category, values.get(key), hour)
                    if closing is None and key in before and self._is_seen_later(row, category, hour, read):
                        closing = before[key] + flows.net  # it wasn't read for days, but it is read later
                    if closing is not None:
                        after[key] = closing
                    value = values.get(key)
                    has_number = value is not None and isinstance(value.reading, int)
                    if key not in before and closing is None and flows == NO_FLOWS and not missing:
                        continue
                    if has_number:
                        allocated.add(key)
                    elif not (before.get(key) or closing or flows != NO_FLOWS) and (
                        value is not None or key not in allocated
                    ):
                        continue  # unallocated throughout
                    lines.append(
                        StatementRow(
                            account=row.account,
                            app=app_of(row.name),
                            owner=self._owners.get(row.name) or None,
                            category=category,
                            day=span.day if by is StatementBy.DAY else None,
                            opening=before.get(key),
                            flows=flows,
                            closing=closing,
                            hours_missing=missing,
                        )
                    )
            before = after
            yield sorted(lines, key=lambda line: (line.account, line.app or "", _ORDER[line.category]))

    def _openings(
        self, hour: int, read: Mapping[tuple[int, Category], HoursRead]
    ) -> dict[tuple[int, Category], int]:
        """Return the openings: the last values before the month if there are later readings, or the first ones in it."""
        rows = {row.id: row for row in self._members}
        found = {
            (wallet_id, category): value.value
            for (wallet_id, category), value in statements.values_at(self._conn, self._ids, hour=hour).items()
            if (wallet_id, category) in read
            or value.hour >= hour - _STILL_THERE
            or _last_seen(rows[wallet_id], category) >= hour
        }
        for key, first in statements.first_values(self._conn, self._ids, hour=hour).items():
            found.setdefault(key, first)
        return found

    @staticmethod
    def _closing(row: WalletRow, category: Category, value: ValueAt | None, hour: int) -> int | None:
        """Return the balance at an hour; None if there are no readings any longer."""
        if value is None or not (value.hour >= hour - _STILL_THERE or _last_seen(row, category) >= hour):
            return None
        return value.value

    def _watched(
        self, row: WalletRow, category: Category, read: HoursRead | None, *, has_opening: bool
    ) -> tuple[int, int] | None:
        """Return the hours `[start, end)` of the month in which a balance should have been read.

        They begin with its first reading, and end with its last one if the wallet isn't configured any more.
        """
        if read is None and not has_opening:
            return None
        start = self._month.start if has_opening or read is None else read.first
        read_until = start if read is None else read.last + 1
        if not row.configured and _last_seen(row, category) < self._month.end:
            return start, read_until
        # the reading of this hour may still come
        return start, max(read_until, min(self._month.end, self._now_hour - 1))

    @staticmethod
    def _is_seen_later(
        row: WalletRow, category: Category, hour: int, read: Mapping[tuple[int, Category], HoursRead]
    ) -> bool:
        found = read.get((row.id, category))
        return _last_seen(row, category) >= hour or (found is not None and found.last >= hour)


def _missing(watched: tuple[int, int] | None, start: int, end: int, part: HoursRead | None) -> int:
    """Return in how many hours of `[start, end)` a watched balance wasn't read; `part` tells in how many it was."""
    if watched is None:
        return 0
    num_hours = 0 if part is None else part.num_hours
    return max(0, min(watched[1], end) - max(watched[0], start) - num_hours)


_ORDER = {category: index for index, category in enumerate(Category)}


def statement_document(statement: Statement, *, now: datetime) -> dict[str, object]:
    """Return a statement as values for JSON, for the command and the API."""
    return {
        "month": statement.name,
        "timezone": statement.timezone,
        "currency": statement.currency,
        "by": statement.by.value,
        "as_of": json_instant(statement.as_of),
        "starts_at": json_instant(statement.month.starts_at),
        "ends_at": json_instant(statement.month.ends_at),
        "is_over": statement.is_over,
        "days_in_utc": statement.days_in_utc,
        "rows": [_row(row, statement) for row in statement.rows],
        "totals": [_row(row, statement) for row in statement.totals],
        "hours_missing": sum(row.hours_missing for row in statement.totals),
        "unexplained": statement.doubtful,
        "top_ups": [
            {
                "at": json_instant(seen.top_up.seen_at),
                "account": account_of(seen.top_up.wallet),
                "app": app_of(seen.top_up.wallet),
                "category": seen.top_up.category.value,
                "messages": seen.messages,
                "order": seen.order,
            }
            for seen in statement.top_ups
        ],
        "orders": [
            order_document(order, prices=statement.prices, currency=statement.currency, now=now)
            for order in statement.orders
        ],
        "wrong_readings": [
            {
                "at": json_instant(wrong.read_at),
                "account": account_of(wrong.balance.wallet),
                "app": app_of(wrong.balance.wallet),
                "category": wrong.balance.category.value,
                "reading": wrong.reading,
                "instead": wrong.instead,
            }
            for wrong in statement.wrong_readings
        ],
    }


def _row(row: StatementRow, statement: Statement) -> dict[str, object]:
    cost = row.cost(statement.prices)
    return {
        **({} if row.day is None else {"day": row.day.isoformat()}),
        "account": row.account,
        "app": row.app,
        "owner": row.owner,
        "category": row.category.value,
        "opening": row.opening,
        "bought": row.flows.bought,
        "moved_in": row.flows.moved_in,
        "moved_out": row.flows.moved_out,
        "refunded": row.flows.refunded,
        "used": row.flows.used,
        "unexplained": row.unexplained,
        "closing": row.closing,
        "cost": None if cost is None else float(cost),
        "hours_missing": row.hours_missing,
    }


def _flows(used: Used) -> Flows:
    return Flows(
        bought=used.topped_up,
        moved_in=used.transferred + used.moved_out,
        moved_out=used.moved_out,
        refunded=used.refunded,
        used=used.use,
    )


def _after_folded(conn: Connection, hour: int) -> int:
    """Return an hour, or the end of its UTC day if the hours of that day were merged."""
    if hour % HOURS_PER_DAY == 0 or not statements.is_folded(conn, hour):
        return hour
    return (hour // HOURS_PER_DAY + 1) * HOURS_PER_DAY


def _last_seen(row: WalletRow, category: Category) -> int:
    """Return the hour of the latest reading of a balance; -1 if it was never read."""
    if row.observed_at is None or row.readings.of(category) is Absent.UNREAD:
        return -1
    return int(row.observed_at.timestamp() // SECONDS_PER_HOUR)


def _has_data(line: StatementRow) -> bool:
    return (
        line.opening is not None
        or line.closing is not None
        or line.flows != NO_FLOWS
        or line.hours_missing > 0
    )


def _summed_days(of_days: Iterable[Sequence[StatementRow]]) -> tuple[list[StatementRow], int]:
    """Return one row per account, day and category, and the doubtful messages of the balances of which it is the sum.

    Each day is added up as soon as it was read, because the balances of all days would take hundreds of megabytes. Only
    those with moves are kept until the moves of the month are known.
    """
    days: list[StatementRow] = []
    moved: list[StatementRow] = []
    doubtful = 0
    for lines in of_days:
        others: list[StatementRow] = []
        for line in lines:
            (moved if line.flows.moved_in or line.flows.moved_out else others).append(line)
        days += summed(filter(_has_data, others), StatementBy.DAY)
        doubtful += sum(line.doubtful for line in others)
    moved = [line for line in with_equal_moves(moved) if _has_data(line)]
    doubtful += sum(line.doubtful for line in moved)
    rows = summed([*days, *moved], StatementBy.DAY)
    return sorted(rows, key=lambda row: (row.day or date.min, row.account, _ORDER[row.category])), doubtful


def _whole_month(totals: Sequence[StatementRow], lines: Sequence[StatementRow]) -> list[StatementRow]:
    """Return the totals of a month's days, with the opening of the first day and the closing of the last."""
    if not lines:
        return []
    first, last = min(line.day or date.min for line in lines), max(line.day or date.min for line in lines)
    by_ends = [
        {
            (line.account, line.category): line
            for line in summed([line for line in lines if line.day == day], None)
        }
        for day in (first, last)
    ]
    whole = []
    for total in totals:
        opened, closed = (ends.get((total.account, total.category)) for ends in by_ends)
        whole.append(
            replace(
                total,
                opening=None if opened is None else opened.opening,
                closing=None if closed is None else closed.closing,
            )
        )
    return whole


def _parts(top_up: TopUp, matches: Mapping[str, Sequence[Match]]) -> list[tuple[str | None, int]]:
    """Return the parts of a top-up: those that belong to orders, and the rest."""
    parts: list[tuple[str | None, int]] = [
        (match.order_id, match.messages) for match in matches.get(top_up.id, ())
    ]
    left = top_up.messages - sum(messages for _, messages in parts)
    return [*parts, (None, left)] if left else parts


def _of_month(
    listed: Collection[Order],
    month: MonthSpan,
    top_ups: Sequence[TopUp],
    matches: Mapping[str, Sequence[Match]],
    now: datetime,
) -> list[Order]:
    """Return the orders of a month: recorded or (partly) filled in it, or still awaited."""
    filled = {match.order_id for top_up in top_ups for match in matches.get(top_up.id, ())}
    return sorted(
        (
            order
            for order in listed
            if order.ordered_at < month.ends_at
            and (order.ordered_at >= month.starts_at or order.id in filled or order.state(now) in AWAITED)
        ),
        key=lambda order: (order.ordered_at, int(order.id)),
    )
