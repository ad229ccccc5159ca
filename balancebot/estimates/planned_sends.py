"""Planned sends: announced and removed by people; each act gets an audit entry.

A planned send changes the runway at once; limits are judged with it at the next reading.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.domain.audit import Act, Actor, Picture
from balancebot.domain.balance import MAX_BALANCE, BalanceKey, WalletName
from balancebot.domain.next_reading import NextReading, ReadReason
from balancebot.domain.sentence import Sentence, did_you_mean, sentence, unknown_wallet
from balancebot.domain.threshold_cell import read_note
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.stored import estimate_again
from balancebot.ports import Clock
from balancebot.store import audit, planned_sends, wallets
from balancebot.store.database import Database
from balancebot.store.planned_sends import PlannedSend

LONGEST = timedelta(days=31)
"""The longest duration of a send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSends:
    """Announces and removes planned sends."""

    database: Database
    clock: Clock
    known: Callable[[], Sequence[WalletName]]
    """The wallets that are configured now."""
    estimator: Estimator
    fastest: timedelta | None = None
    """How soon a wallet may be read again; None: wallets are read at regular intervals, independent of planned sends."""

    def announce(
        self,
        balance: BalanceKey,
        *,
        messages: int,
        starts_at: datetime,
        over: timedelta,
        note: str = "",
        by: Actor,
    ) -> PlannedSend | Sentence:
        """Store that `messages` will be sent evenly from `starts_at` on for `over`; return what is wrong."""
        now = self.clock.now()
        written = read_note(note)
        known = self.known()
        if isinstance(written, Sentence):
            return sentence("the note %(fault)s", fault=written)
        if balance.wallet not in known:
            return unknown_wallet(balance.wallet, did_you_mean(balance.wallet, known))
        if not 0 < messages <= MAX_BALANCE:
            return sentence("a send has from 1 to %(most)s messages", most=MAX_BALANCE)
        if not timedelta(0) < over <= LONGEST:
            return sentence("a send lasts longer than 0 and at most %(most)s days", most=LONGEST.days)
        try:
            ends_at = starts_at + over
        except OverflowError:
            return sentence("the send would never end")
        if ends_at <= now:
            return sentence("the send would have ended at %(at)s", at=f"{ends_at:%Y-%m-%d %H:%M} UTC")
        plan = PlannedSend(
            balance=balance,
            messages=messages,
            starts_at=starts_at,
            ends_at=ends_at,
            note=written,
            created_by=by.name,
            created_at=now,
        )
        with self.database.write() as conn:
            kept = replace(plan, id=planned_sends.add(conn, plan))
            audit.record_change(conn, by, Act.ADD_PLAN, str(balance), after=_picture(kept), now=now)
            self._estimate_again(conn, balance.wallet, now)
            self._read_at_begin(conn, kept, now)
        return kept

    def standing(self) -> tuple[PlannedSend, ...]:
        """Return the sends that haven't ended, the next first."""
        with self.database.read() as conn:
            return planned_sends.not_over(conn, now=self.clock.now())

    def take_back(self, plan_id: str, *, by: Actor) -> PlannedSend | None:
        """Remove a send; None if there is none with this id."""
        now = self.clock.now()
        with self.database.write() as conn:
            plan = planned_sends.find(conn, plan_id)
            if plan is None or not planned_sends.remove(conn, plan_id, now=now):
                return None
            audit.record_change(conn, by, Act.REMOVE_PLAN, str(plan.balance), before=_picture(plan), now=now)
            self._estimate_again(conn, plan.balance.wallet, now)
        return plan

    def _read_at_begin(self, conn: Connection, plan: PlannedSend, now: datetime) -> None:
        """Schedule a reading for the begin of the send. That reading then decides when the following ones are."""
        row = wallets.find(conn, plan.balance.wallet)
        if row is not None and self.fastest is not None:
            at = max(plan.starts_at, now, (row.attempted_at or now) + self.fastest)
            reading = NextReading(at, ReadReason.PLANNED_SEND, plan.balance.category)
            wallets.read_no_later(conn, row.id, reading)

    def _estimate_again(self, conn: Connection, wallet: WalletName, now: datetime) -> None:
        row = wallets.find(conn, wallet)
        if row is not None:
            estimate_again(conn, [row], self.estimator, now=now)


def _picture(plan: PlannedSend) -> Picture:
    return {
        "id": plan.id,
        "messages": plan.messages,
        "starts_at": plan.starts_at.isoformat(),
        "ends_at": plan.ends_at.isoformat(),
        "note": plan.note,
    }
