"""Burn models: fitted when an hour closes, kept in the database, asked at every reading.

A model is derived from the hourly roll-up alone, so any process can take it up and any of them can be rebuilt.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category, Snapshot
from balancebot.domain.runway import Estimate, OrderAdvice
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.storage import burn_models, plans, rollup
from balancebot.storage.burn_models import ModelRow
from balancebot.storage.chunks import chunked
from balancebot.storage.database import Database
from balancebot.storage.wallets import WalletRow

if TYPE_CHECKING:
    from balancebot.domain.burn_model import Models
    from balancebot.domain.forecast import Floats, Plan
    from balancebot.domain.use_window import UseWindow

Balance = tuple[int, Category]
"""A wallet's id and a category."""


class Pace(NamedTuple):
    """How one interval's use compares with what is likely then. (A named tuple: there are thousands.)"""

    over: bool
    calm: bool
    expected: float
    """Messages."""
    stopped: bool
    """Traffic has stopped in hours that are never still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """Estimates burn and runway. `zone` decides what an hour of the week is; `confidence` which runway is judged."""

    zone: str
    confidence: float

    def estimate(
        self, conn: Connection, read: Sequence[tuple[int, Snapshot]], *, now: datetime
    ) -> Mapping[BalanceKey, Estimate]:
        """Estimate the balances of snapshots (with their wallets' ids); those without a number have no estimate."""
        asked = _ask(conn, read, now)
        if asked is None:
            return {}
        from balancebot.domain.forecast import forecast

        answers = forecast(
            asked.models,
            balances=asked.balances,
            observed_at=asked.observed_at,
            now=now.timestamp(),
            zone=self.zone,
            confidence=self.confidence,
            open_use=asked.open_use,
            open_exposure=asked.open_exposure,
            plans=asked.plans,
        )
        return dict(zip(asked.keys, answers.estimates(), strict=True))

    def advise(
        self,
        conn: Connection,
        read: Sequence[tuple[int, Snapshot]],
        *,
        now: datetime,
        until: datetime,
        confidence: float,
        lead_times: Mapping[BalanceKey, timedelta],
        package_sizes: Mapping[Category, int],
    ) -> Mapping[BalanceKey, OrderAdvice]:
        """Advise what to buy for the balances of `lead_times`; those of whose use too little is known are left out."""
        asked = _ask(conn, read, now)
        if asked is None:
            return {}
        from balancebot.domain.order_advice import advise_order

        advice: dict[BalanceKey, OrderAdvice] = {}
        for index, key in enumerate(asked.keys):
            if key not in lead_times:
                continue
            found = advise_order(
                asked.models[index : index + 1],
                balance=int(asked.balances[index]),
                observed_at=datetime.fromtimestamp(asked.observed_at[index], UTC),
                now=now,
                zone=self.zone,
                until=until,
                confidence=confidence,
                lead_time=lead_times[key],
                package_size=package_sizes.get(key.category),
                plans=asked.plans[index],
                open_use=float(asked.open_use[index]),
                open_exposure=float(asked.open_exposure[index]),
            )
            if found is not None:
                advice[key] = found
        return advice

    def pace(
        self,
        conn: Connection,
        used: Sequence[tuple[BalanceKey, int, datetime, datetime, int]],
        *,
        alerts: Mapping[BalanceKey, int],
        now: datetime,
    ) -> Mapping[BalanceKey, "Pace"]:
        """Compare (balance, its wallet's id, since, until, use) with what is likely; without a model no answer.

        `alerts` is how many spikes of each balance were told lately. What was announced is neither over nor calm.
        """
        stored = burn_models.fitted(conn, {wallet_id for _, wallet_id, *_ in used})
        asked = [one for one in used if (one[1], one[0].category) in stored]
        if not asked:
            return {}
        import numpy as np

        from balancebot.domain.burn_model import decode_models
        from balancebot.domain.spike import have_stopped, is_planned, judge_spikes

        fitted = [stored[wallet_id, key.category] for key, wallet_id, *_ in asked]
        models, _ = decode_models([model.model for model in fitted])
        announced = _announced(conn, now)
        since = np.array([one[2].timestamp() for one in asked])
        until = np.array([one[3].timestamp() for one in asked])
        spikes = judge_spikes(
            models,
            use=np.array([one[4] for one in asked], dtype=np.float64),
            since=since,
            until=until,
            zone=self.zone,
            alerts=np.array([alerts.get(one[0], 0) for one in asked], dtype=np.int64),
            bursty=np.array([one[0].category is Category.MARKET for one in asked]),
            planned=np.array(
                [
                    is_planned(announced.get(one[0], ()), one[2].timestamp(), one[3].timestamp())
                    for one in asked
                ]
            ),
        )
        open_hours = _seen_since(
            conn, {wallet_id for _, wallet_id, *_ in asked}, min(model.hour for model in fitted)
        )
        open_use, open_exposure = _open(
            [((one[1], one[0].category), model.hour) for one, model in zip(asked, fitted, strict=True)],
            open_hours,
        )
        stopped = have_stopped(
            models, open_use=open_use, open_exposure=open_exposure, at=until, zone=self.zone
        )
        return {
            one[0]: Pace(bool(over), bool(calm), float(expected), bool(still))
            for one, over, calm, expected, still in zip(
                asked, spikes.over, spikes.calm, spikes.expected, stopped, strict=True
            )
        }

    def refit(self, database: Database, booked: Collection[WalletRow], *, anew: bool = False) -> None:
        """Bring the models of wallets that were just booked up to the hour of their reading, if one closed since.

        `anew` forgets what stands and reads the roll-up of the whole window: after an import. The arithmetic is
        done outside of any transaction, so that nobody waits for it.
        """
        by_hour: dict[int, list[int]] = defaultdict(list)
        for row in booked:
            if row.observed_at is not None and any(isinstance(reading, int) for reading in row.readings):
                by_hour[int(row.observed_at.timestamp() // SECONDS_PER_HOUR)].append(row.id)
        for hour, wallet_ids in by_hour.items():
            for chunk in chunked(wallet_ids):
                self._refit(database, chunk, hour, anew=anew)

    def _refit(self, database: Database, wallet_ids: Sequence[int], hour: int, *, anew: bool) -> None:
        with database.read() as conn:
            late = wallet_ids if anew else burn_models.behind(conn, wallet_ids, hour)
        if not late:
            return
        from balancebot.domain.burn_model import encode_models, fit
        from balancebot.domain.use_window import encode_window

        with database.read() as conn:
            windows = self._windows(conn, late, hour, anew=anew)
        if not windows:
            return
        models = encode_models(fit(list(windows.values()), self.zone))
        fitted = [
            ModelRow(wallet_id, category, hour, encode_window(window), model)
            for ((wallet_id, category), window), model in zip(windows.items(), models, strict=True)
        ]
        with database.write() as conn:
            burn_models.save(conn, fitted)

    def _windows(
        self, conn: Connection, wallet_ids: Sequence[int], hour: int, *, anew: bool
    ) -> dict[Balance, "UseWindow"]:
        """Return the use windows that have to move on to `hour`, moved."""
        from balancebot.domain.use_window import WINDOW_HOURS, decode_window, empty_window

        stored = [] if anew else burn_models.of_wallets(conn, wallet_ids)
        standing = {
            (row.wallet_id, row.category): window
            for row in stored
            if (window := decode_window(row.window)) is not None
        }
        oldest = hour - WINDOW_HOURS
        if standing and len(standing) == len(stored):
            oldest = max(oldest, min(window.end for window in standing.values()))
        seen = _seen_since(conn, wallet_ids, oldest)
        return {
            balance: window.moved_to(hour, hours)
            for balance, hours in seen.items()
            if (window := standing.get(balance) or empty_window(oldest)).end < hour
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """What a forecast needs to know of N balances, each field in their order."""

    keys: list[BalanceKey]
    models: "Models"
    balances: "Floats"
    observed_at: "Floats"
    open_use: "Floats"
    open_exposure: "Floats"
    plans: "list[list[Plan]]"


def _ask(conn: Connection, read: Sequence[tuple[int, Snapshot]], now: datetime) -> _Asked | None:
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
    open_hours = _seen_since(conn, ids.values(), min(model.hour for *_, model in asked))
    open_use, open_exposure = _open(
        [((ids[key.wallet], key.category), model.hour) for key, _, _, model in asked], open_hours
    )
    models, _ = decode_models([model.model for *_, model in asked])
    announced = _announced(conn, now)
    return _Asked(
        keys=[key for key, *_ in asked],
        models=models,
        balances=np.array([balance for _, _, balance, _ in asked]),
        observed_at=np.array([snapshot.observed_at.timestamp() for _, snapshot, _, _ in asked]),
        open_use=open_use,
        open_exposure=open_exposure,
        plans=[announced.get(key, []) for key, *_ in asked],
    )


def _open(
    wanted: Sequence[tuple[Balance, int]], seen: Mapping[Balance, list[tuple[int, int, int]]]
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


def _announced(conn: Connection, now: datetime) -> "Mapping[BalanceKey, list[Plan]]":
    """Return the sends that are announced and not over, as a forecast takes them."""
    kept = plans.not_over(conn, now=now)
    if not kept:
        return {}
    from balancebot.domain.forecast import Plan

    announced: dict[BalanceKey, list[Plan]] = defaultdict(list)
    for plan in kept:
        announced[plan.balance].append(
            Plan(start=plan.starts_at.timestamp(), end=plan.ends_at.timestamp(), messages=plan.messages)
        )
    return announced


def _seen_since(
    conn: Connection, wallet_ids: Collection[int], hour: int
) -> Mapping[Balance, list[tuple[int, int, int]]]:
    """Return (hour, use, seconds of exposure) of each balance since an epoch hour, oldest first."""
    seen: dict[Balance, list[tuple[int, int, int]]] = defaultdict(list)
    for wallet_id, category, at, use, exposure in rollup.use_since(conn, wallet_ids, hour):
        seen[wallet_id, category].append((at, use, exposure))
    return seen
