"""What a batch of readings is judged by, read once and passed down."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from balancebot.domain.threshold import ThresholdBook
from balancebot.estimates.estimator import Balance, KnownUsage
from balancebot.store import estimates
from balancebot.store.estimates import EstimateRow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PollContext:
    """What is known of some wallets once their usage is booked; their open alerts are in `OpenAlerts`."""

    now: datetime
    book: ThresholdBook
    usage: KnownUsage
    kept: Mapping[Balance, EstimateRow]
    """What was expected of each balance so far, and whether it was ever above 0."""

    @classmethod
    def read(
        cls, conn: Connection, wallet_ids: Collection[int], *, book: ThresholdBook, now: datetime
    ) -> "PollContext":
        """Read it in the transaction that records the batch."""
        return cls(
            now=now,
            book=book,
            usage=KnownUsage.read(conn, wallet_ids, now=now),
            kept=estimates.by_balance(conn, wallet_ids),
        )
