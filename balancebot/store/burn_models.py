"""The burn model of each balance, as bytes: derived from the roll-up, so any row may be lost and made again."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from balancebot.domain.balance import Category
from balancebot.store.tables import burn_models
from balancebot.store.types import chunked, insert_into


class ModelRow(NamedTuple):
    """The model of one balance. (A named tuple: there are thousands.)"""

    wallet_id: int
    category: Category
    hour: int
    """Hours since 1970 up to which the window reaches."""
    window: bytes
    model: bytes | None


class FittedModel(NamedTuple):
    """A model as forecasts need it."""

    hour: int
    model: bytes | None


def all_models(conn: Connection) -> list[ModelRow]:
    """Return every model."""
    return [_model(*row) for row in conn.execute(_WANTED)]


def of_wallets(conn: Connection, wallet_ids: Collection[int]) -> list[ModelRow]:
    """Return the models of some wallets."""
    rows: list[ModelRow] = []
    for ids in chunked(wallet_ids):
        rows += [_model(*row) for row in conn.execute(_WANTED.where(burn_models.c.wallet_id.in_(ids)))]
    return rows


def fitted(conn: Connection, wallet_ids: Collection[int]) -> dict[tuple[int, Category], FittedModel]:
    """Return the models of some wallets without their windows, which only a refit needs."""
    wanted = select(burn_models.c.wallet_id, burn_models.c.category, burn_models.c.hour, burn_models.c.model)
    found: dict[tuple[int, Category], FittedModel] = {}
    for ids in chunked(wallet_ids):
        for wallet_id, category, hour, model in conn.execute(wanted.where(burn_models.c.wallet_id.in_(ids))):
            found[wallet_id, Category(category)] = FittedModel(hour, model)
    return found


def behind(conn: Connection, wallet_ids: Collection[int], hour: int) -> list[int]:
    """Return which of the wallets have no model yet, or one that doesn't reach up to the epoch hour `hour`."""
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


def save(conn: Connection, rows: Sequence[ModelRow]) -> None:
    """Keep models, whether there were any or not."""
    if rows:
        statement = insert_into(conn, burn_models)
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["wallet_id", "category"],
                set_={name: statement.excluded[name] for name in ("hour", "use_window", "model")},
            ),
            [
                {
                    "wallet_id": row.wallet_id,
                    "category": row.category.value,
                    "hour": row.hour,
                    "use_window": row.window,
                    "model": row.model,
                }
                for row in rows
            ],
        )


def forget(conn: Connection, wallet_ids: Collection[int]) -> None:
    """Drop the models of wallets whose past has changed: they are made anew from the roll-up."""
    for ids in chunked(wallet_ids):
        conn.execute(delete(burn_models).where(burn_models.c.wallet_id.in_(ids)))


_WANTED = select(
    burn_models.c.wallet_id,
    burn_models.c.category,
    burn_models.c.hour,
    burn_models.c.use_window,
    burn_models.c.model,
)


def _model(wallet_id: int, category: str, hour: int, window: bytes, model: bytes | None) -> ModelRow:
    return ModelRow(wallet_id, Category(category), hour, window, model)
