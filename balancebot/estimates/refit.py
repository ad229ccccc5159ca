"""Usage models: fitted from the hourly roll-up when an hour closes, and stored.

A model depends only on the roll-up, so that any process can continue with it, and it can always be fitted again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, WalletName
from balancebot.domain.holidays import Zone
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.estimates.known_usage import Balance, announced_plans, use_since
from balancebot.store import estimates
from balancebot.store.database import Database
from balancebot.store.estimates import ModelRow
from balancebot.store.types import chunked
from balancebot.store.wallets import WalletRow

if TYPE_CHECKING:
    from balancebot.forecast.recurring import DatedSend
    from balancebot.forecast.use_window import UseWindow

_REMEMBERED = timedelta(days=400)
_AT_ONCE = 200
"""How many wallets are fitted at once: the window of a balance takes 13 KB of memory."""
_WHOLE_AT_ONCE = 20
"""How many wallets are read at once if 13 months of hours are read for each."""


def refit_models(
    database: Database, booked: Collection[WalletRow], *, zone: Zone, from_scratch: bool = False
) -> None:
    """Update the models of wallets that were just booked to the hour of their reading, if an hour has closed since.

    `from_scratch` ignores the stored models and reads the whole roll-up, for example after an import. The arithmetic is
    done outside of any transaction, so that it doesn't block others.
    """
    by_hour: dict[int, list[WalletRow]] = defaultdict(list)
    for row in booked:
        if row.observed_at is not None and any(isinstance(reading, int) for reading in row.readings):
            by_hour[int(row.observed_at.timestamp() // SECONDS_PER_HOUR)].append(row)
    for hour, rows in by_hour.items():
        names = {row.id: row.name for row in rows}
        for chunk in chunked(list(names), _WHOLE_AT_ONCE if from_scratch else _AT_ONCE):
            unread = chunk if from_scratch else _refit(database, names, chunk, hour, zone=zone)
            for some in chunked(unread, _WHOLE_AT_ONCE):
                _fit_from_scratch(database, names, some, hour, zone=zone)


def refit_of_other_versions(database: Database, *, zone: Zone) -> None:
    """Fit the models of other versions of this program again, up to the same hour.

    Estimates use only models of this version. Without this, all runways would be unknown after an upgrade until an hour
    has closed.
    """
    with database.read() as conn:
        if not (versions := estimates.model_versions(conn)):
            return
    from balancebot.forecast.model import VERSION  # lazy: numpy
    from balancebot.forecast.use_window import decode_window  # lazy: numpy

    if versions == {VERSION}:
        return
    with database.read() as conn:
        names = estimates.wallets_of_other_models(conn, VERSION)
    for chunk in chunked(list(names), _AT_ONCE):
        with database.read() as conn:
            stored = estimates.models_of_wallets(conn, chunk)
        by_hour: dict[int, dict[Balance, UseWindow]] = defaultdict(dict)
        for row in stored:
            if (window := decode_window(row.window)) is not None:
                by_hour[row.hour][row.wallet_id, row.category] = window
        for hour, windows in by_hour.items():
            with database.read() as conn:
                announced = _announced(conn, names, windows, hour)
            _save(database, windows, announced, hour, zone=zone)


def _refit(
    database: Database, names: Mapping[int, WalletName], wallet_ids: Sequence[int], hour: int, *, zone: Zone
) -> list[int]:
    """Move the stored models forward to `hour`; return the wallets without a usable model."""
    with database.read() as conn:
        late = estimates.models_behind(conn, wallet_ids, hour)
    if not late:
        return []
    from balancebot.forecast.use_window import (  # lazy: numpy
        decode_window,
        empty_window,
    )

    with database.read() as conn:
        stored = estimates.models_of_wallets(conn, late)
        windows = {(row.wallet_id, row.category): decode_window(row.window) for row in stored}
        usable = {balance: window for balance, window in windows.items() if window is not None}
        without = {wallet_id for wallet_id, _ in windows.keys() - usable.keys()}
        without |= set(late) - {wallet_id for wallet_id, _ in windows}
        if len(without) == len(late):
            return late
        oldest = min(window.end for window in usable.values())
        moved = {
            balance: window.moved_to(hour, hours)
            for balance, hours in use_since(conn, [id_ for id_ in late if id_ not in without], oldest).items()
            if (window := usable.get(balance) or empty_window(oldest)).end < hour
        }
        announced = _announced(conn, names, moved, hour)
    _save(database, moved, announced, hour, zone=zone)
    return sorted(without)


def _fit_from_scratch(
    database: Database, names: Mapping[int, WalletName], wallet_ids: Sequence[int], hour: int, *, zone: Zone
) -> None:
    import numpy as np  # lazy: numpy

    from balancebot.forecast.series import window_of  # lazy: numpy
    from balancebot.forecast.use_window import REMEMBERED_HOURS  # lazy: numpy

    with database.read() as conn:
        seen = use_since(conn, wallet_ids, hour - REMEMBERED_HOURS)
        announced = _announced(conn, names, seen, hour)
    windows = {}
    for (balance, hours), sends in zip(seen.items(), announced, strict=True):
        first = min(hours[0][0], hour)
        use, exposure = np.zeros((2, hour - first))
        for at, used, seconds in hours:
            if at < hour:
                use[at - first], exposure[at - first] = used, seconds / SECONDS_PER_HOUR
        windows[balance] = window_of(use, exposure, hour, sends)
    _save(database, windows, announced, hour, zone=zone)


def _announced(
    conn: Connection, names: Mapping[int, WalletName], balances: Iterable[Balance], hour: int
) -> "list[Sequence[DatedSend]]":
    """Return the planned sends of each balance, as far back as its bursts are remembered."""
    now = datetime.fromtimestamp(hour * SECONDS_PER_HOUR, UTC)
    plans = announced_plans(conn, now - _REMEMBERED)
    return [plans.get(BalanceKey(names[wallet_id], category), ()) for wallet_id, category in balances]


def _save(
    database: Database,
    windows: "Mapping[Balance, UseWindow]",
    announced: "Sequence[Sequence[DatedSend]]",
    hour: int,
    *,
    zone: Zone,
) -> None:
    if not windows:
        return
    from balancebot.forecast.model import (  # lazy: numpy
        encode_models,
        fit,
    )
    from balancebot.forecast.stand_in import set_stand_ins  # lazy: numpy
    from balancebot.forecast.use_window import encode_window  # lazy: numpy

    fitted = fit(list(windows.values()), zone, announced)
    places = {balance: place for place, balance in enumerate(windows)}
    set_stand_ins(fitted.models, places, fitted.windows, zone, announced)
    rows = [
        ModelRow(wallet_id, category, hour, encode_window(window), model)
        for (wallet_id, category), window, model in zip(
            windows, fitted.windows, encode_models(fitted.models), strict=True
        )
    ]
    with database.write() as conn:
        estimates.save_models(conn, rows)
