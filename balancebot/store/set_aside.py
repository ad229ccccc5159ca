"""Wallets that are set aside because rows of theirs are damaged, so that the others are read, judged and alerted.

`Database` finds them after an error, and passes them on with each connection. Selects of many wallets leave them out by
`whole`. Nothing is written to their rows before somebody has repaired them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from balancebot.domain.balance import WalletName
from balancebot.store import installation
from balancebot.store.tables import facts, wallets

OPTION: Final = "balancebot_set_aside"
"""The execution option of a connection that holds its `SetAside`."""
_PREFIX: Final = "set_aside:"
"""The prefix of a wallet's name, for the fact that it is set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """The wallets that are left out, and the damaged rows of tables in which a row may concern many wallets."""

    wallets: Mapping[WalletName, str] = field(default_factory=dict)
    """What is damaged, by wallet: `table wallets, id 3: what booked_at holds can't be read`."""
    ids: frozenset[int] = frozenset()
    """The ids of these wallets."""
    rows: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """The ids of damaged rows, by table."""


NONE_SET_ASIDE: Final = SetAside()


def of(conn: Connection) -> SetAside:
    """Return what a connection leaves out."""
    found: SetAside = conn.get_execution_options().get(OPTION, NONE_SET_ASIDE)
    return found


def whole(conn: Connection, table: Table) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that leave out damaged rows of `table` and the wallets that are set aside."""
    aside = of(conn)
    if aside is NONE_SET_ASIDE:
        return ()
    columns: Any = table.c
    conditions: list[ColumnElement[bool]] = []
    if table is wallets:
        conditions.append(columns.id.not_in(aside.ids))
    if "wallet_id" in columns:
        conditions.append(columns.wallet_id.not_in(aside.ids))
    if "wallet" in columns:
        conditions.append(columns.wallet.not_in(list(aside.wallets)))
    if rows := aside.rows.get(table.name):
        conditions.append(columns.id.not_in(rows))
    return tuple(conditions)


def record(conn: Connection, *, recorded: Collection[WalletName], now: datetime) -> dict[WalletName, str]:
    """Store which wallets are set aside; return those that weren't before.

    `recorded` are wallets whose readings were just stored: those that were set aside before are repaired.
    """
    aside, stored = of(conn).wallets, current(conn)
    new = {name: damage for name, damage in aside.items() if name not in stored}
    for name, damage in new.items():
        installation.note(conn, _PREFIX + name, damage, now=now)
    repaired = [name for name in stored if name not in aside and name in recorded]
    if repaired:
        conn.execute(delete(facts).where(facts.c.key.in_([_PREFIX + name for name in repaired])))
    return new


def remarks(conn: Connection) -> list[str]:
    """Return a line for people about the file, if it is damaged, and about each wallet that is set aside."""
    file = installation.find(conn, installation.FILE_DAMAGE)
    return [
        *([] if file is None else [f"the file is damaged: {file.value}; restore a backup"]),
        *(f"{name} is neither read nor judged: {damage}" for name, damage in sorted(known(conn).items())),
    ]


def known(conn: Connection) -> dict[WalletName, str]:
    """Return what is damaged, by wallet that is set aside by this process or another."""
    return current(conn) | dict(of(conn).wallets)


def current(conn: Connection) -> dict[WalletName, str]:
    """Return what is damaged, by wallet, as any process has stored it."""
    rows = conn.execute(
        select(facts.c.key, facts.c.value)
        .where(facts.c.key.startswith(_PREFIX, autoescape=True))
        .order_by(facts.c.key)
    )
    return {WalletName(key.removeprefix(_PREFIX)): damage for key, damage in rows}
