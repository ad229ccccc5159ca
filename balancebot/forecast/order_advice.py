"""Order advice: how much to buy and by when, so that quota lasts until a date with a given probability."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from balancebot.domain.balance import BalanceKey, Category, account_of, app_of
from balancebot.domain.holidays import Zone
from balancebot.domain.order import Order, in_packages, round_unit
from balancebot.domain.runway import NO_END_HOURS, OrderAdvice
from balancebot.forecast.forecast import dated_sends
from balancebot.forecast.model import Models
from balancebot.forecast.paths import Paths
from balancebot.forecast.recurring import DatedSend

MIN_DAYS = 3.0
"""Days of history that are needed for advice."""
_GROWS = 1.5
"""The upper limit of the quantity: this multiple of the busiest week, or of the expected usage if that is higher ..."""
_SPREADS = 3.0
"""... plus this many standard deviations of successive days."""
_NEGLIGIBLE = 0.03
"""A shortfall up to this part of what is needed is within the error of any forecast: there is nothing to order yet."""


def advise_order(
    model: Models,
    *,
    balance: int,
    observed_at: datetime,
    now: datetime,
    zone: Zone,
    until: datetime,
    confidence: float,
    lead_time: timedelta = timedelta(0),
    package_size: int | None = None,
    plans: Sequence[DatedSend] = (),
    open_use: float = 0.0,
    open_exposure: float = 0.0,
) -> OrderAdvice | None:
    """Advise on one balance read at `observed_at` (a model array of length 1); None with less than three days of history.

    `confidence` is 0.5 to 0.99: the quantity is that quantile of the usage until `until`, minus the balance, and at most
    the upper limit by past usage; nothing if that is negligible. The order must be placed a lead time before the instant up
    to which the balance lasts with the same probability. The quantity is rounded up to whole packages, or without
    `package_size` to two figures. `open_use` and `open_exposure` are as in `forecast`.
    """
    if not 0.5 <= confidence <= 0.99:
        raise ValueError("confidence must be from 0.5 to 0.99")
    since = observed_at.timestamp()
    paths = _paths(
        model, since, until.timestamp(), zone, plans=plans, open_use=open_use, open_exposure=open_exposure
    )
    if paths is None:
        return None
    needed = _needed(model, paths, (until.timestamp() - since) / 3600.0, confidence)
    lacking = needed - balance
    if lacking <= _NEGLIGIBLE * needed:
        return OrderAdvice(messages=0, order_by=None, until=until, confidence=confidence)
    lasts = float(paths.lasts(np.array([float(balance)]), np.array([1.0 - confidence]))[0, 0])
    empty_at = min(since + lasts * 3600.0, until.timestamp())
    order_by = max(datetime.fromtimestamp(empty_at, UTC) - lead_time, now)
    return OrderAdvice(
        messages=in_packages(lacking, package_size),
        order_by=order_by,
        until=until,
        confidence=confidence,
        lacking=math.ceil(lacking),
    )


def needed_until(
    model: Models,
    *,
    observed_at: float,
    until: float,
    zone: Zone,
    confidence: float,
    plans: Sequence[DatedSend] = (),
    open_use: float = 0.0,
    open_exposure: float = 0.0,
) -> float | None:
    """Return the usage from `observed_at` to `until` (epoch seconds) that isn't exceeded with the probability `confidence`.

    None with less than three days of history.
    """
    paths = _paths(
        model, observed_at, until, zone, plans=plans, open_use=open_use, open_exposure=open_exposure
    )
    return None if paths is None else _needed(model, paths, (until - observed_at) / 3600.0, confidence)


def first_from_orders(
    advice: Mapping[BalanceKey, OrderAdvice],
    awaited: Sequence[Order],
    lead_times: Mapping[BalanceKey, timedelta],
    package_sizes: Mapping[Category, int],
) -> tuple[dict[BalanceKey, OrderAdvice], dict[tuple[str, Category], int]]:
    """Subtract from the advice on each app what was ordered for it and should arrive in time.

    Returns the advice, and what else is on order by account and category.
    """
    changed = dict(advice)
    left: dict[tuple[str, Category], int] = defaultdict(int)
    for order in awaited:
        key = BalanceKey(order.wallet, order.category)
        found = changed.get(key)
        part = 0
        if (
            found is not None
            and found.order_by is not None
            and app_of(order.wallet) is not None
            and order.expected_at <= found.order_by + lead_times[key]
        ):
            part = min(order.missing, found.lacking - found.ordered)
            changed[key] = _to_buy(replace(found, ordered=found.ordered + part), key.category, package_sizes)
        left[order.account, order.category] += order.missing - part
    return changed, left


def _to_buy(advice: OrderAdvice, category: Category, package_sizes: Mapping[Category, int]) -> OrderAdvice:
    lacks = advice.lacking - advice.move - advice.ordered
    return replace(advice, messages=in_packages(lacks, package_sizes.get(category)) if lacks > 0 else 0)


def first_from_pools(
    advice: Mapping[BalanceKey, OrderAdvice],
    spare: Mapping[tuple[str, Category], int],
    package_sizes: Mapping[Category, int],
) -> dict[BalanceKey, OrderAdvice]:
    """Set in the advice on apps how much to move from their account's pool, the most urgent app first.

    `spare` is how much each account's pool can give, by category; it is distributed once.
    """
    lacking: dict[tuple[str, Category], list[BalanceKey]] = defaultdict(list)
    for key, found in advice.items():
        pool = account_of(key.wallet), key.category
        if found.lacking > found.ordered and app_of(key.wallet) is not None and spare.get(pool, 0) > 0:
            lacking[pool].append(key)
    changed = dict(advice)
    for pool, keys in lacking.items():
        left = spare[pool]
        for key in sorted(keys, key=lambda key: (advice[key].order_by or advice[key].until, key)):
            lacks = advice[key].lacking - advice[key].ordered
            # rounded up if the pool has enough, otherwise down to what it can give
            move = min(in_packages(lacks, None), left) if lacks <= left else left - left % round_unit(left)
            left -= move
            changed[key] = _to_buy(replace(advice[key], move=move), key.category, package_sizes)
    return changed


def less_ordered(
    advice: Mapping[BalanceKey, OrderAdvice],
    ordered: Mapping[tuple[str, Category], int],
    package_sizes: Mapping[Category, int],
) -> dict[BalanceKey, OrderAdvice]:
    """Subtract from the advice what else is on order, distributed once, the account's most urgent balance first.

    `ordered` is what hasn't arrived yet, by account and category.
    """
    changed = dict(advice)
    left = dict(ordered)
    for key, found in sorted(advice.items(), key=lambda item: (item[1].order_by or item[1].until, item[0])):
        pool = account_of(key.wallet), key.category
        part = min(left.get(pool, 0), found.to_buy)
        if part > 0:
            left[pool] -= part
            changed[key] = _to_buy(replace(found, ordered=found.ordered + part), key.category, package_sizes)
    return changed


def has_enough_history(record: np.void, open_exposure: float) -> bool:
    """Return whether a model's record, with the exposure since it was fitted, is enough for advice."""
    seen = float(record["seen"]) if record["mean"] > 0 else 0.0  # time before the first use doesn't count
    return bool(record["version"] != 0 and seen + open_exposure >= MIN_DAYS * 24.0)


def _paths(
    model: Models,
    since: float,
    until: float,
    zone: Zone,
    *,
    plans: Sequence[DatedSend],
    open_use: float,
    open_exposure: float,
) -> Paths | None:
    record = model[0]
    if not has_enough_history(record, open_exposure):
        return None
    hours = min(max((until - since) / 3600.0, 0.0), NO_END_HOURS)
    # what is expected on its day is ordered for: a mean of coming and not coming is neither
    dated = [send._replace(chance=1.0) for send in dated_sends(record, since, zone, plans, max(until, since))]
    paths = Paths(
        model,
        np.array([since]),
        zone,
        open_use=np.array([open_use]),
        open_exposure=np.array([open_exposure]),
        dated=dated,
        at=(hours,),
        for_order=True,
    )
    return paths if paths.known[0] else None


def _needed(model: Models, paths: Paths, hours: float, confidence: float) -> float:
    if hours <= 0:
        return 0.0
    span = int(np.argmin(np.abs(paths.time[0] - min(hours, NO_END_HOURS))))
    needed = min(float(paths.quantile(confidence, span)[0]), _rail(model[0], paths, span))
    return needed * max(hours / NO_END_HOURS, 1.0)


def _rail(record: np.void, paths: Paths, span: int) -> float:
    """Return the upper limit of usage: by the busiest week, the spread and persistence of days, bursts and dated sends."""
    usual, _, _, dated, dated_variance, bursts, size, size_variance, evidence = (
        float(field[0]) for field in paths.usage_by(span)
    )
    days = float(paths.time[0, span]) / 24.0
    burst_variance = bursts * (size**2 + size_variance) + (bursts * size) ** 2 / evidence
    persistence = float(record["persistence"])
    spread = float(record["daily_spread"]) * math.sqrt(days * (1 + persistence) / (1 - persistence))
    return float(
        _GROWS * max(float(record["busiest"]) * days, usual * 2.0 ** float(paths.changed[0, span]))
        + bursts * size
        + dated
        + _SPREADS * (spread + math.sqrt(burst_variance) + math.sqrt(dated_variance))
    )
