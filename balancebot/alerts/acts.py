"""What people do about alerts: acknowledge, silence, end a silence. Every act is in the audit log.

The interface (a command, a page, Slack) says who acts and checks whether they may.
An act whose `Actor` names a request is done once: the same request again gets the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from balancebot.alerts.transitions import Decision, DecisionWriter
from balancebot.domain import alert as life
from balancebot.domain.alert import Alert, Transition
from balancebot.domain.audit import Act, Actor
from balancebot.domain.escalation import escalate
from balancebot.domain.message import AlertMessage, SilenceMessage
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import clean_text
from balancebot.domain.silence import LONGEST_SILENCE, MANY_WALLETS, Silence, silenced_until
from balancebot.ports import Clock
from balancebot.store import alerts, audit, outbox, silences, types, wallets
from balancebot.store.database import Database

MAX_WORDS_OF_PEOPLE = 500
"""Characters of a note or a reason; it stands on one line wherever it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperateAlerts:
    """Does to alerts what a person or the passing of time asks for."""

    database: Database
    clock: Clock
    steady: Clock
    """Asked by `tick`: what waits for an instant doesn't believe at once that the clock was set."""
    writer: DecisionWriter
    remind_every: timedelta

    def acknowledge(
        self, alert_id: str, *, by: Actor, note: str = "", expects_by: datetime | None = None
    ) -> Alert | None:
        """Stop the reminders of an open alert until it worsens; None if no open alert has this id.

        With `expects_by` (a top-up was ordered) it speaks again at that instant if it is still open.
        """
        now = self.clock.now()
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            found = _find(conn, alert_id)
            if found is not None and audit.of_request(conn, by.request) is not None:
                return found.alert
            if found is None or not found.is_open:
                return None
            (seen,) = self._acknowledge(conn, [found], by=by, note=note, expects_by=expects_by, now=now)
            return seen

    def acknowledge_all(self, alert_ids: Sequence[str], *, by: Actor) -> tuple[Alert, ...]:
        """Acknowledge those of many alerts that are open and not acknowledged; return these."""
        now = self.clock.now()
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            found = [_find(conn, alert_id) for alert_id in dict.fromkeys(alert_ids)]
            still_open = [last for last in found if last is not None and last.is_open]
            if audit.of_request(conn, by.request) is not None:
                return tuple(last.alert for last in still_open if last.alert.acknowledged_by == by.name)
            unseen = [last for last in still_open if last.alert.acknowledged_at is None]
            return tuple(self._acknowledge(conn, unseen, by=by, note="", now=now))

    def _acknowledge(
        self,
        conn: Connection,
        found: Sequence[AlertMessage],
        *,
        by: Actor,
        note: str,
        now: datetime,
        expects_by: datetime | None = None,
    ) -> list[Alert]:
        note = clean_text(note, at_most=MAX_WORDS_OF_PEOPLE)
        seen = [
            life.acknowledge(last.alert, by=by.name, note=note, now=now, expects_by=expects_by)
            for last in found
        ]
        self._save(
            conn,
            [
                _Moved(Transition(alert=alert, edit=True), last)
                for alert, last in zip(seen, found, strict=True)
            ],
            now=now,
        )
        after = {"note": note, "expects_by": None if expects_by is None else expects_by.isoformat()}
        audit.record_changes(
            conn,
            by,
            [(Act.ACKNOWLEDGE, f"alert {alert.id} {_about(alert)}", None, after) for alert in seen],
            now=now,
        )
        return seen

    def silence(self, pattern: Pattern | Patterns, *, until: datetime, reason: str, by: Actor) -> Silence:
        """Silence what `pattern` matches until `until`, at most for 30 days; the living messages show it.

        One that mutes much is announced where alerts go by default.
        """
        now = self.clock.now()
        until = min(until, now + LONGEST_SILENCE)
        reason = clean_text(reason, at_most=MAX_WORDS_OF_PEOPLE)
        wanted = Silence(pattern=pattern, begins_at=now, until=until, reason=reason, created_by=by.name)
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            before = _silence_of(conn, by.request)
            if before is not None:
                return before
            made = replace(wanted, id=silences.add(conn, wanted))
            self._save(
                conn,
                [
                    _Moved(Transition(alert=life.mute(last.alert), edit=last.alert.peak is not None), last)
                    for last in alerts.all_open(conn)
                    if made.matches(last.alert.subject, last.alert.members)
                ],
                now=now,
            )
            after = {"id": str(made.id), "until": until.isoformat(), "reason": reason}
            audit.record_change(conn, by, Act.SILENCE, pattern.text, after=after, now=now)
            if self._mutes_much(conn, made):
                self._announce(conn, made, now=now)
        return made

    def end_silence(self, silence_id: str, *, by: Actor) -> bool:
        """End a silence early, and send what it muted and is still open. False if none with this id is in force."""
        now = self.clock.now()
        if not silence_id.isdecimal() or len(silence_id) > _LONGEST_ID:
            return False
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            if not silences.end(conn, int(silence_id), by=by.name, now=now):
                return False
            audit.record_change(conn, by, Act.END_SILENCE, f"silence {silence_id}", now=now)
            self._pass_time(conn, now)
        return True

    def _mutes_much(self, conn: Connection, silence: Silence) -> bool:
        return (
            silence.mutes_everything
            or silence.mutes_urgently(last.alert for last in alerts.all_open(conn))
            or silence.num_wallets(wallets.configured_names(conn)) > MANY_WALLETS
        )

    def _announce(self, conn: Connection, silence: Silence, *, now: datetime) -> None:
        """Tell people of a silence that mutes much, and note that."""
        if silence.id is None:
            return
        urgent = [last for last in alerts.all_open(conn) if silence.mutes_urgently([last.alert])]
        message = SilenceMessage(
            at=now,
            silence_id=silence.id,
            pattern=silence.pattern.text,
            until=silence.until,
            reason=silence.reason,
            created_by=silence.created_by,
            num_wallets=silence.num_wallets(wallets.configured_names(conn)),
            num_urgent=len(urgent),
            is_repeated=silence.announced_at is not None,
        )
        defaults = self.writer.routing.defaults
        told = [Destination(channel, address) for channel, found in defaults.items() for address in found]
        outbox.enqueue_plain(conn, message=message, destinations=told, now=now)
        silences.note_announced(conn, silence.id, now)

    def _announced_now(self, conn: Connection, now: datetime) -> list[Silence]:
        """Return the silences that people are told of now: one that has begun to mute something critical, or again."""
        held = silences.holding(conn, now)
        if all(silence.announced_at is not None and not silence.is_announced_again(now) for silence in held):
            return []
        found = [last.alert for last in alerts.all_open(conn)]
        return [
            silence
            for silence in held
            if silence.is_announced_again(now)
            or (silence.announced_at is None and silence.mutes_urgently(found))
        ]

    def tick(self) -> int:
        """Do what the passing of time asks for: reminders, escalations, overdue top-ups, silences and quiet hours that end.

        Returns how many alerts send or edit something.
        """
        now = self.steady.now()
        with self.database.read() as conn:
            ahead = [silence for silence in silences.holding(conn, now) if silence.was_made_ahead(now)]
            if not ahead and not self._timed(conn, now) and not self._announced_now(conn, now):
                return 0
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            for silence in ahead:
                silences.carry_back(conn, silence, now)
            num_moved = self._pass_time(conn, now)
            announced = self._announced_now(conn, now)
            for silence in announced:
                self._announce(conn, silence, now=now)
            return num_moved + len(announced)

    def _pass_time(self, conn: Connection, now: datetime) -> int:
        moved = self._timed(conn, now)
        self._save(conn, moved, now=now)
        return len(moved)

    def _timed(self, conn: Connection, now: datetime) -> list["_Moved"]:
        """Return the transitions of open alerts by the passing of time."""
        in_force = silences.holding(conn, now)
        quiet_below = self.writer.quiet_below(now)
        moved: list[_Moved] = []
        for last in alerts.all_open(conn):
            silenced = silenced_until(in_force, last.alert, now) is not None
            transition = life.pass_time(
                last.alert,
                now=now,
                silenced=silenced,
                quiet_below=quiet_below,
                remind_every=self.remind_every,
            )
            told: tuple[Destination, ...] = ()
            alert = transition.alert or last.alert
            is_muted = life.is_muted(alert, silenced=silenced, quiet_below=quiet_below)
            if transition.reason is None and not is_muted:
                escalated, told = escalate(alert, self.writer.escalations, now=now)
                transition = escalated if told else transition
            if transition.reason or transition.edit or transition.alert != last.alert:
                moved.append(_Moved(transition=transition, last=last, escalates_to=told))
        return moved

    def _save(self, conn: Connection, moved: Sequence["_Moved"], *, now: datetime) -> None:
        """Store transitions; what is only edited keeps the context of its last message."""
        in_force = silences.holding(conn, now)
        self.writer.save(
            conn,
            [
                Decision(
                    transition=transition,
                    alert=transition.alert,
                    measurement=last.measurement,
                    last_context=last.context,
                    needs_context=transition.reason is not None,
                    silenced_until=silenced_until(in_force, transition.alert, now),
                    escalates_to=told,
                )
                for transition, last, told in moved
                if transition.alert is not None
            ],
            now=now,
        )


class _Moved(NamedTuple):
    """What became of an open alert, as it was last."""

    transition: Transition
    last: AlertMessage
    escalates_to: tuple[Destination, ...] = ()


_LONGEST_ID = 18


def _find(conn: Connection, alert_id: str) -> AlertMessage | None:
    if not alert_id.isdecimal() or len(alert_id) > _LONGEST_ID:
        return None
    return alerts.get(conn, int(alert_id))


def _silence_of(conn: Connection, request: str) -> Silence | None:
    """Return the silence that was made for a request before."""
    done = audit.of_request(conn, request)
    if done is None or done.after is None:
        return None
    return silences.get(conn, int(str(done.after["id"])))


def _about(alert: Alert) -> str:
    category = alert.subject.category
    return alert.subject.wallet if category is None else f"{alert.subject.wallet}:{category}"
