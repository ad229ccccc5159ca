"""How all things stand at one instant: balances, alerts, the outbox and the last cycle. What watchers of the bot ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.alert import AlertKind
from balancebot.domain.message import MutedCounts
from balancebot.domain.threshold import ThresholdBook
from balancebot.domain.verdict import Severity
from balancebot.overview.balances import BalanceView, overview
from balancebot.poll.cycle import LAST_CYCLE
from balancebot.store import alerts, channel_failures, installation, outbox
from balancebot.store.channel_failures import ChannelFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemStatus:
    """How all things stand: what the metrics show."""

    balances: tuple[BalanceView, ...]
    num_open: Mapping[tuple[AlertKind, Severity], int]
    muted: MutedCounts
    """What of it isn't told, or not by itself."""
    num_pending: int
    """Deliveries that wait or are under way."""
    refusals: tuple[ChannelFailure, ...]
    """What channels refuse until a person has acted."""
    last_cycle_at: datetime | None
    """When the last complete poll cycle ended; None = there was none."""


def system_status(
    conn: Connection, *, book: ThresholdBook, stale_after: timedelta, now: datetime
) -> SystemStatus:
    """Return how all things stand, of every configured wallet."""
    last_cycle = installation.find(conn, LAST_CYCLE)
    return SystemStatus(
        balances=tuple(overview(conn, book=book, stale_after=stale_after, now=now)),
        num_open={(kind, severity): num for kind, severity, num in alerts.num_open(conn)},
        muted=alerts.muted_counts(conn),
        num_pending=outbox.num_pending(conn),
        refusals=channel_failures.standing(conn),
        last_cycle_at=None if last_cycle is None else last_cycle.at,
    )
