"""How much to buy and by when, so that quota lasts to a date with a stated probability."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from balancebot.domain.runway import OrderAdvice
from balancebot.forecast.burn_model import Models
from balancebot.forecast.forecast import Paths, PlannedLoad


def advise_order(
    model: Models,
    *,
    balance: int,
    observed_at: datetime,
    now: datetime,
    zone: str,
    until: datetime,
    confidence: float,
    lead_time: timedelta = timedelta(0),
    package_size: int | None = None,
    plans: Sequence[PlannedLoad] = (),
    open_use: float = 0.0,
    open_exposure: float = 0.0,
) -> OrderAdvice | None:
    """Advise on one balance read at `observed_at` (its record alone, [1]); None where too little is known of its use.

    `confidence` is 0.5 to 0.99: the quantity is that quantile of the use until `until`, less the balance. The order
    must be placed a lead time before the instant up to which the balance lasts with the same probability.
    It is rounded up to whole packages, or where there is no `package_size` to two figures: it isn't known better.
    `open_use` and `open_exposure` as in `forecast`.
    """
    if not 0.5 <= confidence <= 0.99:
        raise ValueError("confidence must be from 0.5 to 0.99")
    since = np.array([observed_at.timestamp()])
    paths = Paths(model, since, zone, np.array([open_use]), np.array([open_exposure]))
    if not paths.known[0]:
        return None
    if plans:
        paths.add_plans([plans])
    hours = (until - observed_at) / timedelta(hours=1)
    needed = float(paths.used_by(np.array([max(hours, 0.0)]), confidence)[0])
    lacking = needed - balance
    if lacking <= 0:
        return OrderAdvice(messages=0, order_by=None, until=until, confidence=confidence)
    size = package_size or _round_unit(lacking)
    packages = math.ceil(lacking / size)
    lasts = float(paths.lasts(np.array([float(balance)]), confidence)[0])
    empty_at = min(since[0] + lasts * 3600.0, until.timestamp())
    order_by = max(datetime.fromtimestamp(empty_at, UTC) - lead_time, now)
    return OrderAdvice(messages=packages * size, order_by=order_by, until=until, confidence=confidence)


def _round_unit(lacking: float) -> int:
    return int(10 ** max(0, len(str(math.ceil(lacking))) - 2))
