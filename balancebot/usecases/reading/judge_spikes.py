"""`burn_spike`: what a round booked against what its hour of the week makes likely, and traffic that stopped.

Judged on use, so after the booking: quota that was moved is no spike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.domain.alert import AlertKind, Cause, Subject
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.notification import AlertFacts, Surge
from balancebot.domain.threshold import ThresholdBook
from balancebot.domain.verdict import FINE, NO_DATA, Severity, Verdict
from balancebot.storage import alerts, balances
from balancebot.storage.balances import BalanceRow
from balancebot.storage.chunks import chunked
from balancebot.usecases.alerting.open_alerts import OpenAlerts, Told
from balancebot.usecases.alerting.telling import Teller
from balancebot.usecases.estimating.beliefs import estimate_at
from balancebot.usecases.limits.shelf import ThresholdShelf
from balancebot.usecases.reading.book_use import Stretch
from balancebot.usecases.reading.pace import Interval, paces

_SPIKE = Verdict(severity=Severity.CRITICAL)
_AT_ONCE = 1_000
"""Wallets: what is known of each is held in memory."""


class _Balance(NamedTuple):
    """One balance of a round, with what was believed of it. (A named tuple: a round has tens of thousands.)"""

    key: BalanceKey
    stretch: Stretch
    since: datetime
    until: datetime
    kept: BalanceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpikes:
    """Judges the use of a round."""

    zone: str
    teller: Teller
    thresholds: ThresholdShelf

    def __call__(
        self, conn: Connection, stretches: Sequence[Stretch], *, now: datetime, alerts_too: bool
    ) -> list[Told]:
        """Keep the pace of each balance that was booked and advance its `burn_spike`; return what is to be told.

        Nothing is judged before a day of readings, nor where the other end of a transfer can't be read.
        """
        return [
            told
            for some in chunked(stretches, _AT_ONCE)
            for told in self._judge(conn, some, now=now, alerts_too=alerts_too)
        ]

    def _judge(
        self, conn: Connection, stretches: Sequence[Stretch], *, now: datetime, alerts_too: bool
    ) -> list[Told]:
        candidates = _balances(conn, stretches)
        if not candidates:
            return []
        from balancebot.domain.spike import REMEMBERED_DAYS, SPIKING, gather, remembered

        told_before = alerts.openings(conn, AlertKind.BURN_SPIKE, since=now - timedelta(days=REMEMBERED_DAYS))
        found = paces(
            conn,
            [
                Interval(one.key, one.stretch.row.id, one.since, one.until, one.stretch.used.get(one.key, 0))
                for one in candidates
            ],
            zone=self.zone,
            alerts={
                key: remembered((now - at) / timedelta(days=1) for at in opened)
                for key, opened in told_before.items()
            },
            now=now,
        )
        standing = OpenAlerts(conn, {one.key.wallet for one in candidates}, teller=self.teller, now=now)
        book = self.thresholds.book(conn)
        kept: list[tuple[int, Category, int, bool]] = []
        for one in candidates:
            pace = found.get(one.key)
            if pace is None:
                continue
            points = one.kept.spike_points
            if one.stretch.is_certain:
                drained = pace.drained and one.stretch.is_surely_use
                points = gather(points, pace.points, drained=drained)
            if (points, pace.stopped) != (one.kept.spike_points, one.kept.stopped):
                kept.append((one.stretch.row.id, one.key.category, points, pace.stopped))
            verdict = _SPIKE if points >= SPIKING else FINE if points == 0 else NO_DATA
            if alerts_too and verdict is not NO_DATA:
                standing.advance(
                    Subject(kind=AlertKind.BURN_SPIKE, wallet=one.key.wallet, category=one.key.category),
                    verdict,
                    lambda one=one, expected=pace.expected: _facts(one, expected, book, now),  # type: ignore[misc]
                    cause=Cause.USE_NORMAL,
                )
        balances.save_pace(conn, kept)
        return standing.settle()


def _balances(conn: Connection, stretches: Sequence[Stretch]) -> list[_Balance]:
    """Return the balances whose stretch has two ends and a number at the later one."""
    believed: Mapping[tuple[int, Category], BalanceRow] = {
        (row.wallet_id, row.category): row
        for row in balances.of_wallets(conn, [stretch.row.id for stretch in stretches])
    }
    found = []
    for stretch in stretches:
        row = stretch.row
        if row.booked_at is None or row.observed_at is None:
            continue
        for category, reading in row.readings.items():
            kept = believed.get((row.id, category))
            if kept is not None and not isinstance(reading, Absent):
                key = BalanceKey(WalletName(row.name), category)
                found.append(_Balance(key, stretch, row.booked_at, row.observed_at, kept))
    return found


def _facts(one: _Balance, expected: float, book: ThresholdBook, now: datetime) -> AlertFacts:
    reading = one.stretch.row.readings.of(one.key.category)
    estimate = estimate_at(one.kept, reading, now)
    return AlertFacts(
        alert_id="",
        kind=AlertKind.BURN_SPIKE,
        wallet=one.key.wallet,
        category=one.key.category,
        severity=Severity.CRITICAL,
        reason=None,
        at=now,
        opened_at=now,
        reading=reading,
        observed_at=one.until,
        burn_per_day=estimate.burn_per_day,
        runway=estimate.runway,
        depletes_at=one.kept.p50_at,
        note=book.effective(*one.key).note,
        surge=Surge(
            messages=one.stretch.used.get(one.key, 0), expected=expected, since=one.since, until=one.until
        ),
    )
