"""Estimates of burn and runway, and order advice: the burn models asked about balances as they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from balancebot.domain.balance import BalanceKey, Category, Snapshot
from balancebot.domain.runway import Estimate, OrderAdvice
from balancebot.usecases.estimating.modelled import modelled

if TYPE_CHECKING:
    from balancebot.domain.course_ahead import LevelAhead


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """Estimates burn and runway. `zone` decides what an hour of the week is; `confidence` which runway is judged."""

    zone: str
    confidence: float

    def estimate(
        self, conn: Connection, read: Sequence[tuple[int, Snapshot]], *, now: datetime
    ) -> Mapping[BalanceKey, Estimate]:
        """Estimate the balances of snapshots (with their wallets' ids); those without a number have no estimate."""
        asked = modelled(conn, read, now)
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
        asked = modelled(conn, read, now)
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

    def course(
        self,
        conn: Connection,
        wallet_id: int,
        snapshot: Snapshot,
        category: Category,
        *,
        until: datetime,
        step: timedelta,
        now: datetime,
    ) -> "tuple[LevelAhead, ...]":
        """Return how one balance goes from its reading on, as `course_ahead`; empty where too little is known."""
        asked = modelled(conn, [(wallet_id, snapshot)], now)
        key = BalanceKey(snapshot.wallet, category)
        if asked is None or key not in asked.keys:
            return ()
        from balancebot.domain.course_ahead import course_ahead

        index = asked.keys.index(key)
        return course_ahead(
            asked.models[index : index + 1],
            balance=int(asked.balances[index]),
            observed_at=snapshot.observed_at,
            until=until,
            step=step,
            zone=self.zone,
            plans=asked.plans[index],
            open_use=float(asked.open_use[index]),
            open_exposure=float(asked.open_exposure[index]),
        )
