"""Planned sends: usage that no balance shows yet. A removed plan is kept, but hidden, for the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from balancebot.domain.balance import BalanceKey, WalletName
from balancebot.domain.runway import PlannedUse
from balancebot.store.set_aside import whole
from balancebot.store.tables import plans


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSend:
    """A number of messages that will be sent evenly within `[starts_at, ends_at)`."""

    id: str = ""
    """'' until it is stored."""
    balance: BalanceKey
    messages: int
    starts_at: datetime
    ends_at: datetime
    note: str = ""
    created_by: str
    created_at: datetime

    @property
    def use(self) -> PlannedUse:
        """It as messages contain it."""
        return PlannedUse(
            messages=self.messages, starts_at=self.starts_at, ends_at=self.ends_at, note=self.note
        )


def add(conn: Connection, plan: PlannedSend) -> str:
    """Store a plan; return its id."""
    plan_id: str = conn.execute(
        insert(plans)
        .values(
            wallet=plan.balance.wallet,
            category=plan.balance.category,
            messages=plan.messages,
            starts_at=plan.starts_at,
            ends_at=plan.ends_at,
            note=plan.note,
            created_by=plan.created_by,
            created_at=plan.created_at,
        )
        .returning(plans.c.id)
    ).scalar_one()
    return plan_id


def find(conn: Connection, plan_id: str) -> PlannedSend | None:
    """Return a plan that wasn't removed; None if there is none with this id."""
    row = conn.execute(select(plans).where(plans.c.id == plan_id, plans.c.removed_at.is_(None))).one_or_none()
    return None if row is None else _plan(row)


def not_over(conn: Connection, *, now: datetime) -> tuple[PlannedSend, ...]:
    """Return the plans that haven't ended, the next first."""
    rows = conn.execute(
        select(plans)
        .where(plans.c.ends_at > now, plans.c.removed_at.is_(None), *whole(conn, plans))
        .order_by(plans.c.starts_at, plans.c.id)
    )
    return tuple(_plan(row) for row in rows)


def remove(conn: Connection, plan_id: str, *, now: datetime) -> bool:
    """Remove a plan; False if there is none, or it is already removed."""
    removed = update(plans).where(plans.c.id == plan_id, plans.c.removed_at.is_(None)).values(removed_at=now)
    return conn.execute(removed).rowcount == 1


def _plan(row: Row[Any]) -> PlannedSend:
    return PlannedSend(
        id=row.id,
        balance=BalanceKey(WalletName(row.wallet), row.category),
        messages=row.messages,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
    )
