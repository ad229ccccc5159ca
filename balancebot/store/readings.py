"""What became of a wallet's reading: read, failed, booked, or known from elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, or_, update

from balancebot.domain.balance import Category, Readings
from balancebot.ports import SourceErrorKind
from balancebot.store.tables import wallets


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodRead:
    """A wallet that was read, and when to read it again."""

    wallet_id: int
    readings: Readings
    observed_at: datetime
    next_read_at: datetime
    suspect_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRead:
    """A wallet that could not be read; its readings stay as they were."""

    wallet_id: int
    at: datetime
    error_kind: SourceErrorKind
    error_message: str
    rejections: int
    next_read_at: datetime
    suspect_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Up to which readings the use of a wallet now stands in the roll-up."""

    wallet_id: int
    readings: Readings
    at: datetime


_CAUGHT_UP = (
    update(wallets)
    .where(
        wallets.c.id == bindparam("wallet_id"),
        or_(wallets.c.observed_at.is_(None), wallets.c.observed_at < bindparam("read_at")),
    )
    .values(
        **{category.value: bindparam(f"new_{category.value}") for category in Category},
        observed_at=bindparam("read_at"),
    )
)


def catch_up(conn: Connection, read: Iterable[tuple[int, Readings, datetime]]) -> None:
    """Let (wallet, readings, when) from elsewhere be the latest reading where it is; the wallets stay due as they are."""
    rows = [
        {
            "wallet_id": wallet_id,
            "new_universal": readings.universal,
            "new_voice": readings.voice,
            "new_industry": readings.industry,
            "new_market": readings.market,
            "read_at": observed_at,
        }
        for wallet_id, readings, observed_at in read
    ]
    if rows:
        conn.execute(_CAUGHT_UP, rows)


_GOOD = (
    update(wallets)
    .where(wallets.c.id == bindparam("wallet_id"))
    .values(
        **{category.value: bindparam(f"new_{category.value}") for category in Category},
        observed_at=bindparam("read_at"),
        attempted_at=bindparam("read_at"),
        first_attempt_at=func.coalesce(wallets.c.first_attempt_at, bindparam("read_at")),
        error_kind=None,
        error_message=None,
        rejections=0,
        suspect_since=bindparam("suspect"),
        next_read_at=bindparam("next"),
        claimed_by=None,
    )
)


def record_good(conn: Connection, reads: Sequence[GoodRead]) -> None:
    """Keep what was read, and end the claims."""
    if reads:
        conn.execute(
            _GOOD,
            [
                {
                    "wallet_id": read.wallet_id,
                    "new_universal": read.readings.universal,
                    "new_voice": read.readings.voice,
                    "new_industry": read.readings.industry,
                    "new_market": read.readings.market,
                    "read_at": read.observed_at,
                    "suspect": read.suspect_since,
                    "next": read.next_read_at,
                }
                for read in reads
            ],
        )


_FAILED = (
    update(wallets)
    .where(wallets.c.id == bindparam("wallet_id"))
    .values(
        attempted_at=bindparam("failed_at"),
        first_attempt_at=func.coalesce(wallets.c.first_attempt_at, bindparam("failed_at")),
        error_kind=bindparam("kind"),
        error_message=bindparam("message"),
        rejections=bindparam("rejected"),
        suspect_since=bindparam("suspect"),
        next_read_at=bindparam("next"),
        claimed_by=None,
    )
)


def record_failed(conn: Connection, reads: Sequence[FailedRead]) -> None:
    """Keep why wallets could not be read, and end the claims."""
    if reads:
        conn.execute(
            _FAILED,
            [
                {
                    "wallet_id": read.wallet_id,
                    "failed_at": read.at,
                    "kind": read.error_kind.value,
                    "message": read.error_message,
                    "rejected": read.rejections,
                    "suspect": read.suspect_since,
                    "next": read.next_read_at,
                }
                for read in reads
            ],
        )


_BOOKED = (
    update(wallets)
    .where(wallets.c.id == bindparam("wallet_id"))
    .values(
        **{f"booked_{category.value}": bindparam(f"new_{category.value}") for category in Category},
        booked_at=bindparam("at"),
    )
)


def record_booked(conn: Connection, bookings: Sequence[Booking]) -> None:
    """Note up to which readings use now stands in the roll-up."""
    if bookings:
        conn.execute(
            _BOOKED,
            [
                {
                    "wallet_id": booking.wallet_id,
                    "new_universal": booking.readings.universal,
                    "new_voice": booking.readings.voice,
                    "new_industry": booking.readings.industry,
                    "new_market": booking.readings.market,
                    "at": booking.at,
                }
                for booking in bookings
            ],
        )
