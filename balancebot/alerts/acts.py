"""What people and the passing of time do to alerts: acknowledge, silence, end a silence; remind, escalate.

Each act of a person gets an audit entry. The interface (a command, a page, Slack) names the person and checks the
permission.
If the `Actor` has a request id, the act is done once: repeating the request returns the same result.
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
from balancebot.domain.verdict import Severity
from balancebot.ports import Clock
from balancebot.store import alerts, audit, outbox, silences, types, wallets
from balancebot.store.database import Database

MAX_WORDS_OF_PEOPLE = 500
"""The limit for a note or a reason, in characters; it is always shown on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperateAlerts:
    """Applies to alerts what a person or the passing of time asks for."""

    database: Database
    clock: Clock
    steady: Clock
    """The clock for `tick`: what waits for a time must not happen just because the clock was set."""
    writer: DecisionWriter
    remind_every: timedelta

    def acknowledge(
        self, alert_id: str, *, by: Actor, note: str = "", expects_by: datetime | None = None
    ) -> Alert | None:
        """Stop the reminders of an open alert until it worsens; None if no open alert has this id.

        With `expects_by` (a top-up was ordered) a reminder is sent at that time if it is still open.
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
        """Acknowledge those of the alerts that are open and not acknowledged yet; return them."""
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

        A broad silence is announced at the default destinations.
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
            if self._is_broad(conn, made):
                self._announce(conn, made, now=now)
        return made

    def end_silence(self, silence_id: str, *, by: Actor) -> bool:
        """End a silence early, and send what it muted and is still open. False if no silence with this id is active."""
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

    def _is_broad(self, conn: Connection, silence: Silence) -> bool:
        return (
            silence.mutes_everything
            or silence.mutes_urgently(last.alert for last in alerts.all_open(conn))
            or silence.num_wallets(wallets.configured_names(conn)) > MANY_WALLETS
        )

    def _announce(self, conn: Connection, silence: Silence, *, now: datetime) -> None:
        """Enqueue the announcement of a broad silence, and record that."""
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
        destinations = [
            Destination(channel, address) for channel, addresses in defaults.items() for address in addresses
        ]
        outbox.enqueue_plain(conn, message=message, destinations=destinations, now=now)
        silences.note_announced(conn, silence.id, now)

    def _announced_now(self, conn: Connection, now: datetime) -> list[Silence]:
        """Return the silences to announce now: those that mute something critical for the first time, and repetitions."""
        active = silences.active(conn, now)
        if all(
            silence.announced_at is not None and not silence.is_announced_again(now) for silence in active
        ):
            return []
        open_alerts = [last.alert for last in alerts.all_open(conn)]
        return [
            silence
            for silence in active
            if silence.is_announced_again(now)
            or (silence.announced_at is None and silence.mutes_urgently(open_alerts))
        ]

    def tick(self) -> int:
        """Apply the passing of time: reminders, escalations, overdue top-ups, the end of silences and of quiet hours.

        Returns the number of alerts and announcements that send or edit something.
        """
        return self.database.apart_from_damage(self._tick)

    def _tick(self) -> int:
        now = self.steady.now()
        with self.database.read() as conn:
            ahead = [silence for silence in silences.active(conn, now) if silence.was_made_ahead(now)]
            if not ahead and not self._timed(conn, now) and not self._announced_now(conn, now):
                return 0
        with self.database.write() as conn:
            types.take_lock(conn, types.ALERTS)
            for silence in ahead:
                silences.restart(conn, silence, now)
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
        in_force = silences.active(conn, now)
        moved: list[_Moved] = []
        for last in alerts.all_open(conn):
            is_covered = last.alert.covered_until is not None
            quiet_below = Severity.DEPLETED if is_covered else self.writer.quiet_below(now)
            silenced = silenced_until(in_force, last.alert, now) is not None
            transition = life.pass_time(
                last.alert,
                now=now,
                silenced=silenced,
                quiet_below=quiet_below,
                remind_every=self.remind_every,
            )
            destinations: tuple[Destination, ...] = ()
            alert = transition.alert or last.alert
            is_muted = life.is_muted(alert, silenced=silenced, quiet_below=quiet_below)
            if transition.reason is None and not is_muted:
                escalated, destinations = escalate(alert, self.writer.escalations, now=now)
                transition = escalated if destinations else transition
            if transition.reason or transition.edit or transition.alert != last.alert:
                moved.append(_Moved(transition=transition, last=last, escalates_to=destinations))
        return moved

    def _save(self, conn: Connection, moved: Sequence["_Moved"], *, now: datetime) -> None:
        """Store transitions. If a message is only edited, it keeps its last context, unless a top-up is expected: it may
        have been ordered since then.
        """
        in_force = silences.active(conn, now)
        self.writer.save(
            conn,
            [
                Decision(
                    transition=transition,
                    alert=transition.alert,
                    measurement=last.measurement,
                    last_context=last.context,
                    needs_context=transition.reason is not None or transition.alert.expects_by is not None,
                    silenced_until=silenced_until(in_force, transition.alert, now),
                    escalates_to=destinations,
                )
                for transition, last, destinations in moved
                if transition.alert is not None
            ],
            now=now,
        )


class _Moved(NamedTuple):
    """The transition of an open alert."""

    transition: Transition
    last: AlertMessage
    """Its last message, with the state before the transition."""
    escalates_to: tuple[Destination, ...] = ()


_LONGEST_ID = 18


def _find(conn: Connection, alert_id: str) -> AlertMessage | None:
    if not alert_id.isdecimal() or len(alert_id) > _LONGEST_ID:
        return None
    return alerts.get(conn, int(alert_id))


def _silence_of(conn: Connection, request: str) -> Silence | None:
    """Return the silence that was already made for this request, if any."""
    done = audit.of_request(conn, request)
    if done is None or done.after is None:
        return None
    return silences.get(conn, int(str(done.after["id"])))


def _about(alert: Alert) -> str:
    category = alert.subject.category
    return alert.subject.wallet if category is None else f"{alert.subject.wallet}:{category}"
