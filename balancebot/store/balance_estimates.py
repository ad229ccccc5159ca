"""What is believed of each balance as of its wallet's latest reading: its burn, and when it will be used up.

Estimates are kept as instants, so that reading them needs no arithmetic but a subtraction.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from balancebot.domain.balance import Category
from balancebot.store.tables import balances
from balancebot.store.types import chunked, insert_into


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """One balance as it was last judged."""

    wallet_id: int
    category: Category
    ever_positive: bool
    """Whether it was ever above 0, imported history included."""
    burn_per_day: float | None = None
    runway_known: bool = False
    p10_at: datetime | None = None
    """When it is 0 by P10, and so on; None = beyond 365 days, or unknown."""
    p50_at: datetime | None = None
    p90_at: datetime | None = None
    judged_at: datetime | None = None
    """When it is 0 by the percentile that runway limits are judged by."""
    spike_points: int = 0
    """Evidence of a spike, as `domain/spike.py` gathers it. Kept by `save_pace` alone."""
    stopped: bool = False
    """Whether its traffic stopped in hours that are never still. Kept by `save_pace` alone."""


def all_estimates(conn: Connection) -> list[BalanceRow]:
    """Return every balance that was ever judged."""
    return [_balance(row) for row in conn.execute(select(balances))]


def ever_positive(conn: Connection, wallet_ids: Collection[int]) -> frozenset[tuple[int, Category]]:
    """Return (wallet, category) of those balances of some wallets that were ever above 0."""
    columns = (balances.c.wallet_id, balances.c.category)
    return frozenset(
        (wallet_id, Category(category))
        for ids in chunked(wallet_ids)
        for wallet_id, category in conn.execute(
            select(*columns).where(balances.c.wallet_id.in_(ids), balances.c.ever_positive)
        )
    )


def of_wallets(conn: Connection, wallet_ids: Collection[int]) -> list[BalanceRow]:
    """Return the balances of some wallets."""
    rows: list[BalanceRow] = []
    for ids in chunked(wallet_ids):
        rows += [_balance(row) for row in conn.execute(select(balances).where(balances.c.wallet_id.in_(ids)))]
    return rows


def save(conn: Connection, rows: Sequence[BalanceRow]) -> None:
    """Keep what is now believed of balances, whether they were known or not."""
    if rows:
        statement = insert_into(conn, balances)
        believed = [
            column.name
            for column in balances.c
            if not column.primary_key and column.name not in {"spike_points", "stopped"}
        ]
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["wallet_id", "category"],
                set_={name: statement.excluded[name] for name in believed},
            ),
            [_values(row) for row in rows],
        )


_PACE = (
    update(balances)
    .where(balances.c.wallet_id == bindparam("of_wallet"), balances.c.category == bindparam("of_category"))
    .values(spike_points=bindparam("points"), stopped=bindparam("has_stopped"))
)


def save_pace(conn: Connection, paces: Sequence[tuple[int, Category, int, bool]]) -> None:
    """Keep (wallet, category, points of a spike, whether traffic stopped) of balances that are known."""
    if paces:
        conn.execute(
            _PACE,
            [
                {
                    "of_wallet": wallet_id,
                    "of_category": category.value,
                    "points": points,
                    "has_stopped": stopped,
                }
                for wallet_id, category, points, stopped in paces
            ],
        )


def mark_positive(conn: Connection, keys: Iterable[tuple[int, Category]]) -> None:
    """Remember that balances were above 0 at some time; what else is believed of them stays."""
    rows = [
        _values(BalanceRow(wallet_id=wallet_id, category=category, ever_positive=True))
        for wallet_id, category in keys
    ]
    if rows:
        conn.execute(
            insert_into(conn, balances).on_conflict_do_update(
                index_elements=["wallet_id", "category"], set_={"ever_positive": True}
            ),
            rows,
        )


def _values(row: BalanceRow) -> dict[str, object]:
    return {
        "wallet_id": row.wallet_id,
        "category": row.category.value,
        "ever_positive": row.ever_positive,
        "burn_per_day": row.burn_per_day,
        "runway_known": row.runway_known,
        "p10_at": row.p10_at,
        "p50_at": row.p50_at,
        "p90_at": row.p90_at,
        "judged_at": row.judged_at,
    }


def _balance(row: Row[Any]) -> BalanceRow:
    # by position, in the order of tables.py: several times as quick as by name
    wallet_id, category, ever_positive, burn, known, p10_at, p50_at, p90_at, judged_at, points, stopped = (
        tuple(row)
    )
    return BalanceRow(
        wallet_id=wallet_id,
        category=Category(category),
        ever_positive=ever_positive,
        burn_per_day=burn,
        runway_known=known,
        p10_at=p10_at,
        p50_at=p50_at,
        p90_at=p90_at,
        judged_at=judged_at,
        spike_points=points,
        stopped=stopped,
    )
