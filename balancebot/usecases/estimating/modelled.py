"""What the burn models know of balances: the models, use since they were fitted, and sends that were announced."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category, Snapshot
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.storage import burn_models, plans, rollup

if TYPE_CHECKING:
    from balancebot.domain.burn_model import Models
    from balancebot.domain.forecast import Floats, Plan

Balance: TypeAlias = tuple[int, Category]
"""A wallet's id and a category."""
HourOfUse: TypeAlias = tuple[int, int, int]
"""An epoch hour, the use in it, and the seconds in which use could be seen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Modelled:
    """What a forecast needs to know of N balances, each field in their order."""

    keys: list[BalanceKey]
    models: "Models"
    balances: "Floats"
    observed_at: "Floats"
    open_use: "Floats"
    open_exposure: "Floats"
    plans: "list[list[Plan]]"


def modelled(conn: Connection, read: Sequence[tuple[int, Snapshot]], now: datetime) -> Modelled | None:
    """Gather what is known of the balances with a number and a model; None where there are none."""
    stored = burn_models.fitted(conn, [wallet_id for wallet_id, _ in read])
    asked = [
        (BalanceKey(snapshot.wallet, category), snapshot, float(reading), stored[wallet_id, category])
        for wallet_id, snapshot in read
        for category, reading in snapshot.readings.items()
        if isinstance(reading, int) and (wallet_id, category) in stored
    ]
    if not asked:
        return None
    import numpy as np

    from balancebot.domain.burn_model import decode_models

    ids = {snapshot.wallet: wallet_id for wallet_id, snapshot in read}
    open_hours = use_since(conn, ids.values(), min(model.hour for *_, model in asked))
    used, exposure = open_use(
        [((ids[key.wallet], key.category), model.hour) for key, _, _, model in asked], open_hours
    )
    models, _ = decode_models([model.model for *_, model in asked])
    announced = announced_plans(conn, now)
    return Modelled(
        keys=[key for key, *_ in asked],
        models=models,
        balances=np.array([balance for _, _, balance, _ in asked]),
        observed_at=np.array([snapshot.observed_at.timestamp() for _, snapshot, _, _ in asked]),
        open_use=used,
        open_exposure=exposure,
        plans=[announced.get(key, []) for key, *_ in asked],
    )


def open_use(
    wanted: Sequence[tuple[Balance, int]], seen: Mapping[Balance, list[HourOfUse]]
) -> "tuple[Floats, Floats]":
    """Return use and hours of exposure of each balance since the hour that its model reaches up to."""
    import numpy as np

    use, exposure = np.zeros(len(wanted)), np.zeros(len(wanted))
    for index, (balance, since) in enumerate(wanted):
        for hour, used, seconds in seen.get(balance, ()):
            if hour >= since:
                use[index] += used
                exposure[index] += seconds / SECONDS_PER_HOUR
    return use, exposure


def announced_plans(conn: Connection, since: datetime) -> "Mapping[BalanceKey, list[Plan]]":
    """Return the announced sends that aren't over at `since`, as a forecast takes them."""
    kept = plans.not_over(conn, now=since)
    if not kept:
        return {}
    from balancebot.domain.forecast import Plan

    announced: dict[BalanceKey, list[Plan]] = defaultdict(list)
    for plan in kept:
        announced[plan.balance].append(
            Plan(start=plan.starts_at.timestamp(), end=plan.ends_at.timestamp(), messages=plan.messages)
        )
    return announced


def use_since(conn: Connection, wallet_ids: Collection[int], hour: int) -> Mapping[Balance, list[HourOfUse]]:
    """Return (hour, use, seconds of exposure) of each balance since an epoch hour, oldest first."""
    seen: dict[Balance, list[HourOfUse]] = defaultdict(list)
    for wallet_id, category, at, use, exposure in rollup.use_since(conn, wallet_ids, hour):
        seen[wallet_id, category].append((at, use, exposure))
    return seen
