"""The usage that is known of some wallets: fitted models, usage since then, planned sends; and the input of a forecast."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category, Snapshot
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.store import estimates as estimate_rows
from balancebot.store import planned_sends, usage
from balancebot.store.estimates import FittedModel

if TYPE_CHECKING:
    from balancebot.forecast.forecast import Floats
    from balancebot.forecast.model import Models
    from balancebot.forecast.recurring import DatedSend


_SENDS_RUN_LATE = timedelta(hours=3)
"""How long after its end a planned send may still explain the usage since a model was fitted."""
_JUST_BEGUN = 2.0
"""For this many hours of exposure after its first usage, that of universal quota may belong to an empty category."""

Balance: TypeAlias = tuple[int, Category]
"""A wallet's id and a category."""
HourOfUse: TypeAlias = tuple[int, int, int]
"""An epoch hour, its usage, and the seconds in which usage was visible."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelledBalances:
    """The input of a forecast for N balances, each field in their order."""

    keys: list[BalanceKey]
    models: "Models"
    balances: "Floats"
    observed_at: "Floats"
    open_use: "Floats"
    open_exposure: "Floats"
    pace: "Floats | None"
    plans: "list[list[DatedSend]]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownUsage:
    """The models of some wallets, the usage since they were fitted, and the planned sends."""

    models: Mapping[Balance, FittedModel]
    hours: Mapping[Balance, list[HourOfUse]]
    announced: "Mapping[BalanceKey, list[DatedSend]]"
    pace: Mapping[BalanceKey, float] | None = None
    """Messages per hour between the last two readings of the balances just booked; None if it wasn't computed."""

    @classmethod
    def read(cls, conn: Connection, wallet_ids: Collection[int], *, now: datetime) -> "KnownUsage":
        """Read it. Without any model the rest isn't read."""
        models = estimate_rows.fitted_models(conn, wallet_ids)
        if not models:
            return cls(models={}, hours={}, announced={})
        return cls(
            models=models,
            hours=use_since(conn, wallet_ids, min(model.hour for model in models.values())),
            announced=announced_plans(conn, now - _SENDS_RUN_LATE),
        )


def modelled(known: KnownUsage, read: Sequence[tuple[int, Snapshot]]) -> ModelledBalances | None:
    """Return the input of a forecast for the balances that have a number and a model; None if there are none."""
    asked = [
        (BalanceKey(snapshot.wallet, category), snapshot, float(reading), known.models[wallet_id, category])
        for wallet_id, snapshot in read
        for category, reading in snapshot.readings.items()
        if isinstance(reading, int) and (wallet_id, category) in known.models
    ]
    if not asked:
        return None
    import numpy as np  # lazy: numpy

    from balancebot.forecast.model import decode_models  # lazy: numpy

    ids = {snapshot.wallet: wallet_id for wallet_id, snapshot in read}
    used, exposure = open_use(
        [((ids[key.wallet], key.category), model.hour) for key, _, _, model in asked], known.hours
    )
    models, _ = decode_models([model.model for *_, model in asked])
    models = _with_fresh_stand_ins(models, [(key, balance) for key, _, balance, _ in asked], used)
    announced = known.announced
    pace = None
    if known.pace is not None:
        pace = np.array([known.pace.get(key, 0.0) for key, *_ in asked])
    for index, (key, snapshot, _, model) in enumerate(asked):
        if _explains(announced.get(key, ()), model.hour * SECONDS_PER_HOUR, snapshot.observed_at.timestamp()):
            used[index] = exposure[index] = 0.0
            if pace is not None:
                pace[index] = 0.0
    return ModelledBalances(
        keys=[key for key, *_ in asked],
        models=models,
        balances=np.array([balance for _, _, balance, _ in asked]),
        observed_at=np.array([snapshot.observed_at.timestamp() for _, snapshot, _, _ in asked]),
        open_use=used,
        open_exposure=exposure,
        pace=pace,
        plans=_announced(announced, [key for key, *_ in asked], models),
    )


def _with_fresh_stand_ins(
    models: "Models", of: Sequence[tuple[BalanceKey, float]], used: "Floats"
) -> "Models":
    """Copy the model of an empty category to universal quota that is used for the first time while it is empty.

    `of` are the balances with the messages left, `used` the usage since their models were fitted. In the hour in which
    the category became empty, a model may already know some usage of universal quota, but not yet what it is for.
    """
    begins = (models["mean"] <= 0) & (used > 0)
    has_begun = (models["mean"] > 0) & (models["seen"] <= _JUST_BEGUN) & (models["stands_in"] == 0)
    fresh = [
        index
        for index in (begins | has_begun).nonzero()[0].tolist()
        if of[index][0].category is Category.UNIVERSAL
    ]
    if not fresh:
        return models
    from balancebot.forecast.stand_in import as_stand_in  # lazy: numpy

    models = models.copy()
    for index in fresh:
        wallet = of[index][0].wallet
        empty = [
            other
            for other, (key, balance) in enumerate(of)
            if key.wallet == wallet and not balance and models["mean"][other] > 0
        ]
        if empty:
            most = max(empty, key=lambda other: float(models["mean"][other]))
            models[index] = as_stand_in(models[most], of[most][0].category)
    return models


def _announced(
    announced: "Mapping[BalanceKey, list[DatedSend]]", keys: Sequence[BalanceKey], models: "Models"
) -> "list[list[DatedSend]]":
    """Return the planned sends of each balance; universal quota includes those of the categories it replaces."""
    plans = [announced.get(key, []) for key in keys]
    if announced and models["stands_in"].any():
        from balancebot.forecast.stand_in import stands_in_now  # lazy: numpy

        for index, (key, model) in enumerate(zip(keys, models, strict=True)):
            for category in stands_in_now(model):
                plans[index] = plans[index] + announced.get(BalanceKey(key.wallet, category), [])
    return plans


def _explains(plans: "Sequence[DatedSend]", since: float, until: float) -> bool:
    """Whether a planned send was running between two instants, or ended within the hour before."""
    return any(plan.start < until and plan.end + SECONDS_PER_HOUR > since for plan in plans)


def open_use(
    wanted: Sequence[tuple[Balance, int]], seen: Mapping[Balance, list[HourOfUse]]
) -> "tuple[Floats, Floats]":
    """Return the usage and the hours of exposure of each balance since the hour up to which its model is fitted."""
    import numpy as np  # lazy: numpy

    use, exposure = np.zeros(len(wanted)), np.zeros(len(wanted))
    for index, (balance, since) in enumerate(wanted):
        for hour, used, seconds in seen.get(balance, ()):
            if hour >= since:
                use[index] += used
                exposure[index] += seconds / SECONDS_PER_HOUR
    return use, exposure


def announced_plans(conn: Connection, since: datetime) -> "Mapping[BalanceKey, list[DatedSend]]":
    """Return the planned sends that hadn't ended at `since`, as input of a forecast."""
    kept = planned_sends.not_over(conn, now=since)
    if not kept:
        return {}
    from balancebot.forecast.recurring import DatedSend  # lazy: numpy

    announced: dict[BalanceKey, list[DatedSend]] = defaultdict(list)
    for plan in kept:
        announced[plan.balance].append(
            DatedSend(start=plan.starts_at.timestamp(), end=plan.ends_at.timestamp(), messages=plan.messages)
        )
    return announced


def use_since(conn: Connection, wallet_ids: Collection[int], hour: int) -> Mapping[Balance, list[HourOfUse]]:
    """Return (hour, usage, seconds of exposure) of each balance since an epoch hour, oldest first."""
    seen: dict[Balance, list[HourOfUse]] = defaultdict(list)
    for wallet_id, category, at, use, exposure in usage.use_since(conn, wallet_ids, hour):
        seen[wallet_id, category].append((at, use, exposure))
    return seen
