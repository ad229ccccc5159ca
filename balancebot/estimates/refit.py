"""Burn models: fitted from the hourly roll-up when an hour closes, and kept in the database.

A model is derived from the roll-up alone, so any process can take it up and any of them can be made anew.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.estimates.estimator import Balance, use_since
from balancebot.store import estimates
from balancebot.store.database import Database
from balancebot.store.estimates import ModelRow
from balancebot.store.types import chunked
from balancebot.store.wallets import WalletRow

if TYPE_CHECKING:
    from balancebot.forecast.use_window import UseWindow

_AT_ONCE = 200
"""Wallets: the window of a balance takes 13 KB while it is fitted."""


def refit_models(database: Database, booked: Collection[WalletRow], *, zone: str, anew: bool = False) -> None:
    """Bring the models of wallets that were just booked up to the hour of their reading, if one closed since.

    `anew` forgets what stands and reads the roll-up of the whole window: after an import. The arithmetic is
    done outside of any transaction, so that nobody waits for it.
    """
    by_hour: dict[int, list[int]] = defaultdict(list)
    for row in booked:
        if row.observed_at is not None and any(isinstance(reading, int) for reading in row.readings):
            by_hour[int(row.observed_at.timestamp() // SECONDS_PER_HOUR)].append(row.id)
    for hour, wallet_ids in by_hour.items():
        for chunk in chunked(wallet_ids, _AT_ONCE):
            _refit(database, chunk, hour, zone=zone, anew=anew)


def _refit(database: Database, wallet_ids: Sequence[int], hour: int, *, zone: str, anew: bool) -> None:
    with database.read() as conn:
        late = wallet_ids if anew else estimates.models_behind(conn, wallet_ids, hour)
    if not late:
        return
    from balancebot.forecast.burn_model import encode_models, fit
    from balancebot.forecast.use_window import encode_window

    with database.read() as conn:
        windows = _windows(conn, late, hour, anew=anew)
    if not windows:
        return
    models = encode_models(fit(list(windows.values()), zone))
    fitted = [
        ModelRow(wallet_id, category, hour, encode_window(window), model)
        for ((wallet_id, category), window), model in zip(windows.items(), models, strict=True)
    ]
    with database.write() as conn:
        estimates.save_models(conn, fitted)


def _windows(
    conn: Connection, wallet_ids: Sequence[int], hour: int, *, anew: bool
) -> dict[Balance, "UseWindow"]:
    """Return the use windows that have to move on to `hour`, moved."""
    from balancebot.forecast.use_window import WINDOW_HOURS, decode_window, empty_window

    stored = [] if anew else estimates.models_of_wallets(conn, wallet_ids)
    standing = {
        (row.wallet_id, row.category): window
        for row in stored
        if (window := decode_window(row.window)) is not None
    }
    oldest = hour - WINDOW_HOURS
    if standing and len(standing) == len(stored):
        oldest = max(oldest, min(window.end for window in standing.values()))
    seen = use_since(conn, wallet_ids, oldest)
    return {
        balance: window.moved_to(hour, hours)
        for balance, hours in seen.items()
        if (window := standing.get(balance) or empty_window(oldest)).end < hour
    }
