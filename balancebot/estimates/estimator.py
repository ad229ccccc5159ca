"""Estimates of usage and runway, and order advice, from stored models and present balances.

Estimates are stored as instants, so that reading them later is only a subtraction.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from balancebot.domain.balance import Absent, BalanceKey, Category, Snapshot, account_of
from balancebot.domain.holidays import Zone
from balancebot.domain.order import Order, in_packages
from balancebot.domain.runway import Estimate, OrderAdvice, PlannedUse
from balancebot.domain.usage import SECONDS_PER_HOUR
from balancebot.estimates.known_usage import KnownUsage, ModelledBalances, modelled
from balancebot.store import estimates as estimate_rows

if TYPE_CHECKING:
    from balancebot.forecast.course_ahead import LevelAhead


_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """Estimates usage rate and runway. `zone` defines the hours of the week; `confidence` gives the judged runway."""

    zone: Zone
    confidence: float

    def estimate(
        self, known: KnownUsage, read: Sequence[tuple[int, Snapshot]], *, now: datetime
    ) -> Mapping[BalanceKey, Estimate]:
        """Estimate the balances of snapshots, given with their wallets' ids. Only balances with a number are estimated."""
        asked = modelled(known, read)
        if asked is None:
            return {}
        from balancebot.forecast.forecast import forecast, is_expected  # lazy: numpy

        if asked.pace is not None:
            # a send that was expected is no burst that may continue
            for index in asked.models["rules"].nonzero()[0]:
                at = float(asked.observed_at[index])
                if is_expected(asked.models[index], 0.0, at - 1.0, at, self.zone):
                    asked.pace[index] = 0.0
        answers = forecast(
            asked.models,
            balances=asked.balances,
            observed_at=asked.observed_at,
            now=now.timestamp(),
            zone=self.zone,
            confidence=self.confidence,
            open_use=asked.open_use,
            open_exposure=asked.open_exposure,
            pace=asked.pace,
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
        reserves: Mapping[BalanceKey, int],
        awaited: Sequence[Order] = (),
        lasting: Collection[BalanceKey] = (),
    ) -> Mapping[BalanceKey, OrderAdvice]:
        """Advise what to move and buy for the balances of `lead_times`, except those with too little known usage.

        `reserves` are the shared pools that may give quota, each with the amount that must stay in it. What is on order
        (`awaited`) is used first for the app for which it was ordered, then for others of the account. Balances that are
        known to last (`lasting`) aren't computed, because each would take milliseconds.
        """
        asked = modelled(KnownUsage.read(conn, [wallet_id for wallet_id, _ in read], now=now), read)
        if asked is None:
            return {}
        from balancebot.forecast.order_advice import (  # lazy: numpy
            first_from_orders,
            first_from_pools,
            less_ordered,
        )

        advice = self._lacking(
            asked,
            now=now,
            until=until,
            confidence=confidence,
            lead_times=lead_times,
            package_sizes=package_sizes,
            lasting=lasting,
        )
        spare = self._spare(asked, read, until=until, confidence=confidence, reserves=reserves)
        advice, on_order = first_from_orders(advice, awaited, lead_times, package_sizes)
        return less_ordered(first_from_pools(advice, spare, package_sizes), on_order, package_sizes)

    def _lacking(
        self,
        asked: ModelledBalances,
        *,
        now: datetime,
        until: datetime,
        confidence: float,
        lead_times: Mapping[BalanceKey, timedelta],
        package_sizes: Mapping[Category, int],
        lasting: Collection[BalanceKey],
    ) -> dict[BalanceKey, OrderAdvice]:
        """Return the shortfall of the balances in `lead_times`; universal quota that was seen to replace them counts once.

        Categories for which it is used now share its shortfall. What is left of it then covers the other categories,
        those that run out first before the rest.
        """
        from balancebot.forecast.order_advice import advise_order, has_enough_history  # lazy: numpy
        from balancebot.forecast.stand_in import drawn_for, stands_in_now  # lazy: numpy

        places = {key: index for index, key in enumerate(asked.keys)}
        nothing = OrderAdvice(messages=0, order_by=None, until=until, confidence=confidence)

        def lacking(key: BalanceKey, index: int, more: int = 0) -> OrderAdvice | None:
            if asked.keys[index] in lasting and has_enough_history(
                asked.models[index], asked.open_exposure[index]
            ):
                return nothing
            return advise_order(
                asked.models[index : index + 1],
                balance=int(asked.balances[index]) + more,
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

        advice: dict[BalanceKey, OrderAdvice] = {}
        for key, index in places.items():
            if key in lead_times and (found := lacking(key, index)) is not None:
                advice[key] = found
        for key, index in places.items():
            if key.category is not Category.UNIVERSAL or key not in lead_times:
                continue
            instead_of = [
                other
                for category in stands_in_now(asked.models[index])
                if (other := BalanceKey(key.wallet, category)) in lead_times
                and other in places
                and not asked.balances[places[other]]
            ]
            shares = [float(asked.models[places[other]]["mean"]) for other in instead_of]
            if sum(shares):
                for other, share in zip(instead_of, shares, strict=True):
                    found = lacking(other, index) or nothing
                    part = math.ceil(found.lacking * share / sum(shares))
                    size = package_sizes.get(other.category)
                    advice[other] = replace(
                        found,
                        messages=in_packages(part, size) if part else 0,
                        lacking=part,
                        reserve=int(asked.balances[index]),
                    )
                advice[key] = replace(nothing, instead_of=tuple(other.category for other in instead_of))
                continue
            seen = {
                other: hour
                for category, hour in drawn_for(asked.models[index]).items()
                if (other := BalanceKey(key.wallet, category)) in advice and advice[other].lacking
            }
            left = self._not_used(asked, index, until=until, confidence=confidence) if seen else 0
            for other in sorted(seen, key=lambda other: (advice[other].order_by or until, other)):
                part = min(left, advice[other].lacking)
                found = lacking(other, places[other], part) if part else None
                if found is not None:
                    left -= part
                    seen_at = datetime.fromtimestamp(seen[other] * SECONDS_PER_HOUR, UTC)
                    advice[other] = replace(found, reserve=part, reserve_seen_at=seen_at)
        return advice

    def _not_used(self, asked: ModelledBalances, index: int, *, until: datetime, confidence: float) -> int:
        """Return how many messages a balance won't use itself until `until`."""
        from balancebot.forecast.order_advice import needed_until  # lazy: numpy

        needed = needed_until(
            asked.models[index : index + 1],
            observed_at=float(asked.observed_at[index]),
            until=until.timestamp(),
            zone=self.zone,
            confidence=confidence,
            plans=asked.plans[index],
            open_use=float(asked.open_use[index]),
            open_exposure=float(asked.open_exposure[index]),
        )
        return max(0, int(asked.balances[index] - (needed or 0.0)))

    def spare(
        self,
        conn: Connection,
        read: Sequence[tuple[int, Snapshot]],
        *,
        now: datetime,
        until: datetime,
        confidence: float,
        reserves: Mapping[BalanceKey, int],
    ) -> Mapping[tuple[str, Category], int]:
        """Return how much the pools of `reserves` can give, by account and category."""
        ids = [wallet_id for wallet_id, _ in read]
        asked = modelled(KnownUsage.read(conn, ids, now=now), read) if reserves else None
        return self._spare(asked, read, until=until, confidence=confidence, reserves=reserves)

    def _spare(
        self,
        asked: "ModelledBalances | None",
        read: Sequence[tuple[int, Snapshot]],
        *,
        until: datetime,
        confidence: float,
        reserves: Mapping[BalanceKey, int],
    ) -> dict[tuple[str, Category], int]:
        """Return how much each pool has above its reserve, or above its own usage up to `until` if that is more.

        Nothing where the pool has no quota; a pool that wasn't read is missing.
        """
        if not reserves:
            return {}
        places = {} if asked is None else {key: index for index, key in enumerate(asked.keys)}
        spare: dict[tuple[str, Category], int] = {}
        for _, snapshot in read:
            for category, reading in snapshot.readings.items():
                key = BalanceKey(snapshot.wallet, category)
                if key not in reserves or reading is Absent.UNREAD:
                    continue
                if not isinstance(reading, int):
                    spare[account_of(snapshot.wallet), category] = 0
                    continue
                kept = int(reading)
                if asked is not None and key in places:
                    kept = self._not_used(asked, places[key], until=until, confidence=confidence)
                spare[account_of(snapshot.wallet), category] = max(0, min(kept, reading - reserves[key]))
        return spare

    def expected_sends(
        self, conn: Connection, read: Sequence[tuple[int, Snapshot]], *, until: datetime
    ) -> Mapping[BalanceKey, tuple[PlannedUse, ...]]:
        """Return the bulk sends that are expected up to `until` because of the balances' past, the next first."""
        found: dict[BalanceKey, tuple[PlannedUse, ...]] = {}
        models = estimate_rows.fitted_models(conn, [wallet_id for wallet_id, _ in read])
        if not models:
            return found
        from balancebot.forecast.forecast import dated_sends, two_figures  # lazy: numpy
        from balancebot.forecast.model import decode_models  # lazy: numpy

        for wallet_id, snapshot in read:
            for category in Category:
                fitted = models.get((wallet_id, category))
                if fitted is None:
                    continue
                (model,), _ = decode_models([fitted.model])
                since = snapshot.observed_at.timestamp()
                sends = dated_sends(model, since, self.zone, until=until.timestamp())
                found[BalanceKey(snapshot.wallet, category)] = tuple(
                    PlannedUse(
                        messages=two_figures(send.messages),
                        starts_at=datetime.fromtimestamp(send.start, UTC),
                        ends_at=datetime.fromtimestamp(send.end, UTC),
                        is_expected=True,
                    )
                    for send in sorted(sends)
                )
        return found

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
        """Return the expected levels of one balance from its reading on, as `course_ahead`; () if too little is known."""
        asked = modelled(KnownUsage.read(conn, [wallet_id], now=now), [(wallet_id, snapshot)])
        key = BalanceKey(snapshot.wallet, category)
        if asked is None or key not in asked.keys:
            return ()
        from balancebot.forecast.course_ahead import course_ahead  # lazy: numpy

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
