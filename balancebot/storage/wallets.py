"""The wallets: what each showed last, when it is read next, and which worker is reading it.

A row outlives the wallet's place in the configuration, so that its history stays; only `configured` ones are claimed.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    func,
    or_,
    select,
    update,
)

from balancebot.domain.balance import Category, Readings, Snapshot, WalletName, account_of
from balancebot.ports import SourceErrorKind
from balancebot.storage.chunks import chunked
from balancebot.storage.tables import wallets
from balancebot.storage.upserts import insert_into
from balancebot.storage.workers import is_free


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRow:
    """One wallet as it is kept."""

    id: int
    name: WalletName
    configured: bool
    readings: Readings
    observed_at: datetime | None
    """When `readings` were read; None = never."""
    first_attempt_at: datetime | None
    """Since it was (last) configured."""
    attempted_at: datetime | None
    error_kind: SourceErrorKind | None
    """Of the latest attempt; None when it was good."""
    error_message: str
    rejections: int
    """Readings running that ended in a 401."""
    suspect_since: datetime | None
    """A sudden zero that waits for a second look."""
    next_read_at: datetime
    booked: Readings
    """The readings up to which use stands in the roll-up, and when they were read."""
    booked_at: datetime | None

    @property
    def account(self) -> str:
        """The account it belongs to."""
        return account_of(self.name)

    @property
    def snapshot(self) -> Snapshot | None:
        """Its latest reading; None if it was never read."""
        if self.observed_at is None:
            return None
        return Snapshot(wallet=self.name, observed_at=self.observed_at, readings=self.readings)


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


def sync(conn: Connection, configured: Collection[WalletName], *, now: datetime) -> tuple[WalletName, ...]:
    """Make the configured wallets known, and let the others rest; return those that left since the last time.

    A new wallet is due at once. So is one that comes back, with no error counted against it.
    """
    known = {
        WalletName(name): is_configured
        for name, is_configured in conn.execute(select(wallets.c.name, wallets.c.configured))
    }
    wanted = set(configured)
    new = [name for name in dict.fromkeys(configured) if name not in known]
    back = [name for name, is_configured in known.items() if name in wanted and not is_configured]
    gone = [name for name, is_configured in known.items() if is_configured and name not in wanted]
    add_known(conn, new, now=now)
    for names in chunked(back):
        conn.execute(
            update(wallets)
            .where(wallets.c.name.in_(names))
            .values(
                configured=True,
                next_read_at=now,
                claimed_by=None,
                first_attempt_at=None,
                attempted_at=None,
                error_kind=None,
                error_message=None,
                rejections=0,
                suspect_since=None,
            )
        )
    for names in chunked(gone):
        conn.execute(
            update(wallets).where(wallets.c.name.in_(names)).values(configured=False, claimed_by=None)
        )
    return tuple(sorted(gone))


def claim_due(
    conn: Connection, worker_id: str, *, now: datetime, limit: int | None = None
) -> list[WalletRow]:
    """Take the wallets that are due and that no other living worker has, the longest due first.

    The claim ends when the reading is recorded, or is given back; what the worker holds itself it doesn't get again.
    """
    # a CTE, since PostgreSQL may run a subquery that locks and limits more than once
    free = (
        select(wallets.c.id)
        .where(wallets.c.configured, wallets.c.next_read_at <= now, is_free(wallets.c.claimed_by, now))
        .order_by(wallets.c.next_read_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    taken = (
        update(wallets)
        .where(wallets.c.id.in_(select(free.c.id)))
        .values(claimed_by=worker_id)
        .returning(wallets)
    )
    return [_wallet(row) for row in conn.execute(taken)]


def held(conn: Connection, worker_id: str, wallet_ids: Collection[int]) -> frozenset[int]:
    """Return which of the wallets the worker still holds, and keep others from taking them within this transaction.

    Ask in the transaction that records: a process that was frozen may find that another has read them since.
    """
    found: set[int] = set()
    for ids in chunked(wallet_ids):
        mine = select(wallets.c.id).where(wallets.c.id.in_(ids), wallets.c.claimed_by == worker_id)
        found.update(conn.scalars(mine.with_for_update()))
    return frozenset(found)


def release(conn: Connection, worker_id: str, wallet_ids: Collection[int]) -> None:
    """Give claims back without a reading: the wallets stay due."""
    for ids in chunked(wallet_ids):
        conn.execute(
            update(wallets)
            .where(wallets.c.id.in_(ids), wallets.c.claimed_by == worker_id)
            .values(claimed_by=None)
        )


def every(conn: Connection, *, configured_only: bool = True) -> list[WalletRow]:
    """Return the wallets, by name."""
    wanted = select(wallets).order_by(wallets.c.name)
    if configured_only:
        wanted = wanted.where(wallets.c.configured)
    return [_wallet(row) for row in conn.execute(wanted)]


def named(
    conn: Connection, names: Collection[WalletName], *, configured_only: bool = True
) -> dict[WalletName, WalletRow]:
    """Return the wallets of these names that are known."""
    found: dict[WalletName, WalletRow] = {}
    for chunk in chunked(names):
        wanted = select(wallets).where(wallets.c.name.in_(chunk))
        if configured_only:
            wanted = wanted.where(wallets.c.configured)
        found |= {row.name: row for row in map(_wallet, conn.execute(wanted))}
    return found


def any_due(conn: Connection, *, now: datetime) -> bool:
    """Tell whether a wallet is due, without asking who is reading it."""
    wanted = select(wallets.c.id).where(wallets.c.configured, wallets.c.next_read_at <= now).limit(1)
    return conn.execute(wanted).first() is not None


def edition(conn: Connection) -> tuple[object, ...]:
    """Return what differs as soon as a wallet was read, or tried, or came, or left."""
    figures = select(func.count(), func.max(wallets.c.attempted_at)).where(wallets.c.configured)
    return tuple(conn.execute(figures).one())


def find(conn: Connection, name: WalletName) -> WalletRow | None:
    """Return one wallet, configured or not."""
    row = conn.execute(select(wallets).where(wallets.c.name == name)).one_or_none()
    return None if row is None else _wallet(row)


def of_accounts(
    conn: Connection, accounts: Collection[str], *, configured_only: bool = True
) -> list[WalletRow]:
    """Return the wallets of some accounts."""
    rows: list[WalletRow] = []
    for names in chunked(accounts):
        wanted = select(wallets).where(wallets.c.account.in_(names))
        if configured_only:
            wanted = wanted.where(wallets.c.configured)
        rows += [_wallet(row) for row in conn.execute(wanted)]
    return rows


def configured_names(conn: Connection) -> tuple[WalletName, ...]:
    """Return the names of the configured wallets, in order."""
    names = conn.scalars(select(wallets.c.name).where(wallets.c.configured).order_by(wallets.c.name))
    return tuple(WalletName(name) for name in names)


def ids(conn: Connection) -> dict[WalletName, int]:
    """Return the id of every wallet that was ever known."""
    return {
        WalletName(name): wallet_id for name, wallet_id in conn.execute(select(wallets.c.name, wallets.c.id))
    }


def add_known(conn: Connection, names: Iterable[WalletName], *, now: datetime) -> None:
    """Make wallets known that aren't yet, as due and configured; those that are stay as they are."""
    rows = [
        {"name": name, "account": account_of(name), "configured": True, "next_read_at": now} for name in names
    ]
    if rows:
        # another replica may be doing the same right now
        conn.execute(insert_into(conn, wallets).on_conflict_do_nothing(), rows)


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


def _wallet(row: Row[Any]) -> WalletRow:
    # by position, in the order of tables.py: several times as quick as by name
    wallet_id, name, _, configured, universal, voice, industry, market, *rest = tuple(row)
    (
        observed_at,
        first_attempt_at,
        attempted_at,
        kind,
        message,
        rejections,
        suspect_since,
        next_read_at,
        *rest,
    ) = rest
    _, *booked, booked_at = rest
    return WalletRow(
        id=wallet_id,
        name=name,
        configured=configured,
        readings=Readings(universal, voice, industry, market),
        observed_at=observed_at,
        first_attempt_at=first_attempt_at,
        attempted_at=attempted_at,
        error_kind=None if kind is None else SourceErrorKind(kind),
        error_message=message or "",
        rejections=rejections,
        suspect_since=suspect_since,
        next_read_at=next_read_at,
        booked=Readings(*booked),
        booked_at=booked_at,
    )
