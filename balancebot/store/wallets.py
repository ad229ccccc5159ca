"""Wallets: their latest readings, when they are due, and which worker is reading them.

A claim ends with the reading, with a release, or when its worker dies.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from balancebot.domain.balance import Category, Readings, Snapshot, WalletName, account_of
from balancebot.domain.delivery import CLOCK_JUMP
from balancebot.domain.next_reading import NextReading, ReadReason
from balancebot.domain.sentence import Sentence
from balancebot.ports import SourceErrorKind
from balancebot.store.set_aside import whole
from balancebot.store.tables import wallets
from balancebot.store.types import chunked, insert_into
from balancebot.store.workers import is_free


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRow:
    """One stored wallet."""

    id: int
    name: WalletName
    configured: bool
    readings: Readings
    observed_at: datetime | None
    """When `readings` were read; None = never."""
    first_attempt_at: datetime | None
    """The first attempt since it was (last) configured."""
    attempted_at: datetime | None
    error_kind: SourceErrorKind | None
    """The error of the latest attempt; None if it was successful."""
    error_message: Sentence
    rejections: int
    """How many readings in a row were answered with 401."""
    suspect_since: datetime | None
    """When a suspect reading was made that must be confirmed before it counts."""
    next_reading: NextReading
    booked: Readings
    """The readings up to which usage is booked in the roll-up, made at `booked_at`."""
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


def sync(conn: Connection, configured: Collection[WalletName], *, now: datetime) -> tuple[WalletName, ...]:
    """Add the configured wallets and stop reading the others; return those that are no longer configured.

    A new wallet is due at once, and so is one that is configured again; its earlier errors don't count.
    """
    known = {
        WalletName(name): is_configured
        for name, is_configured in conn.execute(
            select(wallets.c.name, wallets.c.configured).where(*whole(conn, wallets))
        )
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
                **_next(NextReading(now)),
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


def keep_owners(conn: Connection, owners: Mapping[WalletName, str]) -> None:
    """Store the owners of wallets; a wallet that isn't in `owners` keeps its owner."""
    kept = {
        WalletName(name): owner
        for name, owner in conn.execute(select(wallets.c.name, wallets.c.owner).where(wallets.c.configured))
    }
    changed = [
        {"whose": name, "new_owner": owner}
        for name, owner in owners.items()
        if kept.get(name, owner) != owner
    ]
    if changed:
        named = update(wallets).where(wallets.c.name == bindparam("whose"))
        conn.execute(named.values(owner=bindparam("new_owner")), changed)


def owners(conn: Connection) -> dict[WalletName, str]:
    """Return the owners of all wallets, including former ones; '' = none."""
    return {WalletName(name): owner for name, owner in conn.execute(select(wallets.c.name, wallets.c.owner))}


def all_wallets(conn: Connection, *, configured_only: bool = True) -> list[WalletRow]:
    """Return the wallets, ordered by name."""
    wanted = select(wallets).where(*whole(conn, wallets)).order_by(wallets.c.name)
    if configured_only:
        wanted = wanted.where(wallets.c.configured)
    return [wallet_of(row) for row in conn.execute(wanted)]


def named(
    conn: Connection,
    names: Collection[WalletName],
    *,
    configured_only: bool = True,
    held_by: str | None = None,
) -> dict[WalletName, WalletRow]:
    """Return those of the named wallets that are stored.

    With `held_by`, only those that this worker has still claimed, locked for this transaction. Call it so in the
    transaction that records: if a process was frozen, another one may have read them since then.
    """
    found: dict[WalletName, WalletRow] = {}
    for chunk in chunked(names):
        wanted = select(wallets).where(wallets.c.name.in_(chunk), *whole(conn, wallets))
        if configured_only:
            wanted = wanted.where(wallets.c.configured)
        if held_by is not None:
            wanted = wanted.where(wallets.c.claimed_by == held_by).with_for_update()
        found |= {row.name: row for row in map(wallet_of, conn.execute(wanted))}
    return found


def version(conn: Connection) -> tuple[object, ...]:
    """Return a value that changes when a wallet is read, tried, added or removed."""
    figures = select(func.count(), func.max(wallets.c.attempted_at)).where(wallets.c.configured)
    return tuple(conn.execute(figures).one())


def count(conn: Connection) -> int:
    """Return how many wallets are or were configured."""
    return conn.execute(select(func.count()).select_from(wallets)).scalar_one()


def find(conn: Connection, name: WalletName) -> WalletRow | None:
    """Return one wallet, configured or not."""
    row = conn.execute(select(wallets).where(wallets.c.name == name)).one_or_none()
    return None if row is None else wallet_of(row)


def of_accounts(
    conn: Connection, accounts: Collection[str], *, configured_only: bool = True
) -> list[WalletRow]:
    """Return the wallets of some accounts."""
    rows: list[WalletRow] = []
    for names in chunked(accounts):
        wanted = select(wallets).where(wallets.c.account.in_(names), *whole(conn, wallets))
        if configured_only:
            wanted = wanted.where(wallets.c.configured)
        rows += [wallet_of(row) for row in conn.execute(wanted)]
    return rows


def unbooked(conn: Connection, account: str, *, at_most: int) -> list[WalletName]:
    """Return wallets of an account that weren't read since their last booking, and whose latest attempt didn't fail."""
    wanted = (
        select(wallets.c.name)
        .where(
            wallets.c.account == account,
            wallets.c.configured,
            wallets.c.error_kind.is_(None),
            or_(wallets.c.observed_at.is_(None), wallets.c.observed_at <= wallets.c.booked_at),
            *whole(conn, wallets),
        )
        .limit(at_most)
    )
    return [WalletName(name) for name in conn.scalars(wanted)]


def num_members(conn: Connection, accounts: Collection[str]) -> dict[str, int]:
    """Return how many configured wallets each of the accounts has."""
    sizes: dict[str, int] = {}
    for names in chunked(accounts):
        wanted = select(wallets.c.account, func.count()).where(
            wallets.c.account.in_(names), wallets.c.configured
        )
        sizes.update((account, size) for account, size in conn.execute(wanted.group_by(wallets.c.account)))
    return sizes


def configured_names(conn: Connection) -> tuple[WalletName, ...]:
    """Return the names of the configured wallets, sorted."""
    names = conn.scalars(select(wallets.c.name).where(wallets.c.configured).order_by(wallets.c.name))
    return tuple(WalletName(name) for name in names)


def ids(conn: Connection) -> dict[WalletName, int]:
    """Return the ids of all stored wallets, configured or not."""
    return {
        WalletName(name): wallet_id for name, wallet_id in conn.execute(select(wallets.c.name, wallets.c.id))
    }


def add_known(conn: Connection, names: Iterable[WalletName], *, now: datetime) -> None:
    """Add the wallets that are not stored yet, as due and configured."""
    rows = [
        {"name": name, "account": account_of(name), "configured": True, "next_read_at": now} for name in names
    ]
    if rows:
        # another process may do the same at this moment
        conn.execute(insert_into(conn, wallets).on_conflict_do_nothing(), rows)


def wallet_of(row: Row[Any]) -> WalletRow:
    """Return the wallet of a row with all columns."""
    # by position, in the order of tables.py, which is several times as fast as by name
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
    _, *booked, booked_at, _, reason, category = rest
    return WalletRow(
        id=wallet_id,
        name=name,
        configured=configured,
        readings=Readings(universal, voice, industry, market),
        observed_at=observed_at,
        first_attempt_at=first_attempt_at,
        attempted_at=attempted_at,
        error_kind=None if kind is None else SourceErrorKind(kind),
        error_message=message,
        rejections=rejections,
        suspect_since=suspect_since,
        next_reading=NextReading(
            next_read_at,
            None if reason is None else ReadReason(reason),
            None if category is None else Category(category),
        ),
        booked=Readings(*booked),
        booked_at=booked_at,
    )


def any_due(conn: Connection, *, now: datetime, failing: bool | None = None) -> bool:
    """Return whether any wallet is due, claimed or not. `failing`: only those whose latest attempt failed, or didn't."""
    wanted = select(wallets.c.id).where(_is_due(now, failing), *whole(conn, wallets)).limit(1)
    return conn.execute(wanted).first() is not None


def make_due(conn: Connection, *, now: datetime) -> None:
    """Make the wallets due that were last read later than now, because the clock was set back since then."""
    read_later = wallets.c.attempted_at > now + CLOCK_JUMP
    conn.execute(update(wallets).where(wallets.c.configured, read_later).values(**_next(NextReading(now))))


def _next(reading: NextReading) -> dict[str, Any]:
    return {
        "next_read_at": reading.at,
        "next_read_reason": reading.reason,
        "next_read_category": reading.category,
    }


def read_no_later(conn: Connection, wallet_id: int, next_reading: NextReading) -> None:
    """Move the next reading of a wallet forward, unless it is earlier anyway."""
    conn.execute(
        update(wallets)
        .where(wallets.c.id == wallet_id, wallets.c.next_read_at > next_reading.at)
        .values(**_next(next_reading))
    )


def claim_due(
    conn: Connection,
    worker_id: str,
    *,
    now: datetime,
    limit: int | None = None,
    failing: bool | None = None,
) -> list[WalletRow]:
    """Claim the wallets that are due and that no living worker has claimed, the longest due first.

    `failing` True: only those whose latest attempt failed; False: only the others.
    The claim ends when the reading is recorded, or when it is released. Wallets that this worker has already claimed
    aren't returned.
    """
    # a CTE, because PostgreSQL may run a subquery that locks and limits more than once
    free = (
        select(wallets.c.id)
        .where(_is_due(now, failing), is_free(wallets.c.claimed_by, now), *whole(conn, wallets))
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
    return [wallet_of(row) for row in conn.execute(taken)]


def _is_due(now: datetime, failing: bool | None) -> ColumnElement[bool]:
    due = and_(wallets.c.configured, wallets.c.next_read_at <= now)
    if failing is None:
        return due
    failed = wallets.c.error_kind.is_not(None)
    return and_(due, failed if failing else ~failed)


def release_all_but(conn: Connection, worker_id: str, kept: Collection[int]) -> None:
    """Release the worker's claims, except on `kept`; the wallets stay due."""
    mine = set(conn.scalars(select(wallets.c.id).where(wallets.c.claimed_by == worker_id)))
    for ids in chunked(mine.difference(kept)):
        conn.execute(
            update(wallets)
            .where(wallets.c.id.in_(ids), wallets.c.claimed_by == worker_id)
            .values(claimed_by=None)
        )
