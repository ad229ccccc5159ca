"""The estimate of each balance as of its wallet's latest reading, and the usage model from which it is made.

Estimates are stored as instants, so that reading one is only a subtraction. Models are derived from the roll-up, so any
of them may be deleted and made again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from balancebot.domain.balance import Category, WalletName
from balancebot.store.set_aside import whole
from balancebot.store.tables import balances, burn_models, wallets
from balancebot.store.types import chunked, insert_into, upsert

SPIKING_POINTS = 4
"""The same as `forecast.spike.SPIKING`, whose import would load numpy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvidence:
    """What earlier readings of one balance have shown."""

    ever_positive: bool
    """Whether it was ever above 0, including imported history."""
    spike_points: int = 0
    """Evidence of a spike, as `forecast/spike.py` gathers it. Only `save_spike_evidence` stores it."""
    stopped: bool = False
    """Whether there was no usage in hours that always have some. Only `save_spike_evidence` stores it."""

    @property
    def is_spiking(self) -> bool:
        """Whether the evidence is enough for a spike."""
        return self.spike_points >= SPIKING_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRow(UsageEvidence):
    """The estimate of one balance, and the evidence about its usage."""

    wallet_id: int
    category: Category
    burn_per_day: float | None = None
    runway_known: bool = False
    p10_at: datetime | None = None
    """When it will be 0 by the P10; None = beyond 365 days, or unknown. The same for P50 and P90."""
    p50_at: datetime | None = None
    p90_at: datetime | None = None
    judged_at: datetime | None = None
    """When it will be 0 by the percentile that runway limits are compared with."""
    usual_burn_per_day: float | None = None
    not_counted: int = 0
    not_counted_at: datetime | None = None
    history_hours: float | None = None
    sends: int = 0


def all_estimates(conn: Connection) -> list[EstimateRow]:
    """Return the estimates of all balances."""
    return [_estimate_row(row) for row in conn.execute(select(balances).where(*whole(conn, balances)))]


def of_wallets(conn: Connection, wallet_ids: Collection[int]) -> list[EstimateRow]:
    """Return the estimates of some wallets."""
    rows: list[EstimateRow] = []
    for ids in chunked(wallet_ids):
        rows += [
            _estimate_row(row) for row in conn.execute(select(balances).where(balances.c.wallet_id.in_(ids)))
        ]
    return rows


def by_balance(conn: Connection, wallet_ids: Collection[int]) -> dict[tuple[int, Category], EstimateRow]:
    """Return the estimates of some wallets by wallet and category."""
    return {(row.wallet_id, row.category): row for row in of_wallets(conn, wallet_ids)}


def evidence(conn: Connection, wallet_ids: Collection[int]) -> dict[tuple[int, Category], UsageEvidence]:
    """Return the evidence about some wallets by wallet and category, without the estimates: a poll cycle reads thousands."""
    c = balances.c
    wanted = select(c.wallet_id, c.category, c.ever_positive, c.spike_points, c.stopped)
    return {
        (wallet_id, Category(category)): UsageEvidence(
            ever_positive=positive, spike_points=points, stopped=stopped
        )
        for ids in chunked(wallet_ids)
        for wallet_id, category, positive, points, stopped in conn.execute(wanted.where(c.wallet_id.in_(ids)))
    }


def save_estimates(conn: Connection, rows: Sequence[EstimateRow]) -> None:
    """Add or replace the estimates of balances."""
    if rows:
        columns = (
            column.name
            for column in balances.c
            if not column.primary_key and column.name not in {"spike_points", "stopped"}
        )
        conn.execute(upsert(conn, balances, *columns), [_values(row) for row in rows])


_SPIKE_EVIDENCE = (
    update(balances)
    .where(balances.c.wallet_id == bindparam("of_wallet"), balances.c.category == bindparam("of_category"))
    .values(spike_points=bindparam("points"), stopped=bindparam("has_stopped"))
)


def save_spike_evidence(conn: Connection, evidence: Sequence[tuple[int, Category, int, bool]]) -> None:
    """Store (wallet, category, points of a spike, whether usage stopped) of balances that have an estimate."""
    if evidence:
        conn.execute(
            _SPIKE_EVIDENCE,
            [
                {
                    "of_wallet": wallet_id,
                    "of_category": category.value,
                    "points": points,
                    "has_stopped": stopped,
                }
                for wallet_id, category, points, stopped in evidence
            ],
        )


def mark_positive(conn: Connection, keys: Iterable[tuple[int, Category]]) -> None:
    """Record that balances were above 0 at some time; their estimates aren't changed."""
    rows = [
        _values(EstimateRow(wallet_id=wallet_id, category=category, ever_positive=True))
        for wallet_id, category in keys
    ]
    if rows:
        conn.execute(
            insert_into(conn, balances).on_conflict_do_update(
                index_elements=["wallet_id", "category"], set_={"ever_positive": True}
            ),
            rows,
        )


def _values(row: EstimateRow) -> dict[str, object]:
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
        "usual_burn_per_day": row.usual_burn_per_day,
        "not_counted": row.not_counted,
        "not_counted_at": row.not_counted_at,
        "history_hours": row.history_hours,
        "sends": row.sends,
    }


def _estimate_row(row: Row[Any]) -> EstimateRow:
    # by position, in the order of tables.py, which is several times as fast as by name
    (
        wallet_id,
        category,
        ever_positive,
        burn,
        known,
        p10_at,
        p50_at,
        p90_at,
        judged_at,
        points,
        stopped,
        *rest,
    ) = tuple(row)
    usual, not_counted, not_counted_at, history_hours, sends = rest
    return EstimateRow(
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
        usual_burn_per_day=usual,
        not_counted=not_counted,
        not_counted_at=not_counted_at,
        history_hours=history_hours,
        sends=sends,
    )


class ModelRow(NamedTuple):
    """The model of one balance. (A named tuple: there are thousands.)"""

    wallet_id: int
    category: Category
    hour: int
    """The epoch hour up to which the window reaches."""
    window: bytes
    model: bytes | None


class FittedModel(NamedTuple):
    """A model without its window, for forecasts."""

    hour: int
    model: bytes | None


def all_models(conn: Connection) -> list[ModelRow]:
    """Return all models."""
    return [_model_row(*row) for row in conn.execute(_WANTED)]


def models_of_wallets(conn: Connection, wallet_ids: Collection[int]) -> list[ModelRow]:
    """Return the models of some wallets."""
    rows: list[ModelRow] = []
    for ids in chunked(wallet_ids):
        rows += [_model_row(*row) for row in conn.execute(_WANTED.where(burn_models.c.wallet_id.in_(ids)))]
    return rows


def fitted_models(conn: Connection, wallet_ids: Collection[int]) -> dict[tuple[int, Category], FittedModel]:
    """Return the models of some wallets without their windows, which only a refit needs."""
    wanted = select(burn_models.c.wallet_id, burn_models.c.category, burn_models.c.hour, burn_models.c.model)
    found: dict[tuple[int, Category], FittedModel] = {}
    for ids in chunked(wallet_ids):
        for wallet_id, category, hour, model in conn.execute(wanted.where(burn_models.c.wallet_id.in_(ids))):
            found[wallet_id, Category(category)] = FittedModel(hour, model)
    return found


def models_behind(conn: Connection, wallet_ids: Collection[int], hour: int) -> list[int]:
    """Return which of the wallets have no model, or one that doesn't reach the epoch hour `hour`."""
    current: set[int] = set()
    for ids in chunked(wallet_ids):
        wanted = (
            select(burn_models.c.wallet_id)
            .where(burn_models.c.wallet_id.in_(ids))
            .group_by(burn_models.c.wallet_id)
            .having(func.min(burn_models.c.hour) >= hour)
        )
        current.update(conn.scalars(wanted))
    return [wallet_id for wallet_id in wallet_ids if wallet_id not in current]


def model_versions(conn: Connection) -> set[int]:
    """Return the versions of the stored models, which are their first bytes."""
    first = conn.scalars(select(func.substr(burn_models.c.model, 1, 1)).distinct())
    return {found[0] for found in first if found}


def wallets_of_other_models(conn: Connection, version: int) -> dict[int, WalletName]:
    """Return the wallets that have a model of another version."""
    wanted = (
        select(wallets.c.id, wallets.c.name)
        .join(burn_models, burn_models.c.wallet_id == wallets.c.id)
        .where(func.substr(burn_models.c.model, 1, 1) != bytes([version]))
        .distinct()
    )
    return {wallet_id: WalletName(name) for wallet_id, name in conn.execute(wanted)}


def save_models(conn: Connection, rows: Sequence[ModelRow]) -> None:
    """Add or replace models."""
    if rows:
        conn.execute(
            upsert(conn, burn_models, "hour", "use_window", "model"),
            [
                {
                    "wallet_id": row.wallet_id,
                    "category": row.category.value,
                    "hour": row.hour,
                    "use_window": row.window,
                    "model": row.model,
                }
                # in one order, so that two processes never wait for each other's rows
                for row in sorted(rows, key=lambda row: (row.wallet_id, row.category))
            ],
        )


def forget_models(conn: Connection, wallet_ids: Collection[int]) -> None:
    """Delete the models of wallets whose past has changed; they will be fitted again from the roll-up."""
    for ids in chunked(wallet_ids):
        conn.execute(delete(burn_models).where(burn_models.c.wallet_id.in_(ids)))


_WANTED = select(
    burn_models.c.wallet_id,
    burn_models.c.category,
    burn_models.c.hour,
    burn_models.c.use_window,
    burn_models.c.model,
)


def _model_row(wallet_id: int, category: str, hour: int, window: bytes, model: bytes | None) -> ModelRow:
    return ModelRow(wallet_id, Category(category), hour, window, model)
