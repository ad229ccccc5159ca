"""Does what people ask in Slack, if they may, and answers them alone. Each act is done once and in the audit log."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar, assert_never

from balancebot.alerts.acts import OperateAlerts
from balancebot.domain.alert import Alert
from balancebot.domain.audit import Actor, Way
from balancebot.domain.message import AlertMessage
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.silence import pattern_of
from balancebot.domain.user import Role
from balancebot.i18n import Wording
from balancebot.notify.slack.blocks import Block
from balancebot.notify.slack.buttons import MEMBER, ActionId, ShownGroup, buttons_for
from balancebot.notify.slack.commands import (
    Help,
    Length,
    Mute,
    ShowList,
    Why,
    end_of,
    parse_command,
    read_length,
)
from balancebot.notify.slack.payloads import Asked, Click, Command, ReplyTo, SlackUser, Submission
from balancebot.notify.slack.queries import SlackQueries
from balancebot.notify.slack.responses import MAX_NOTE, SlackWorkspace, escaped, fault_of, top_up_form
from balancebot.notify.slack.roles import Roles
from balancebot.ports import Clock
from balancebot.store import alerts, groups
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES_FOR = 90.0
"""Seconds for which a database that doesn't answer is tried again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_LONGEST_ID = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackHandlers:
    """The one who is asked. Safe to be asked by several people at once."""

    database: Database
    clock: Clock
    operate_alerts: OperateAlerts
    telling: SlackQueries
    roles: Roles
    workspace: SlackWorkspace
    on_done: Callable[[], None]
    """Called after each act: standing messages are to change."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when nothing is to be tried again."""

    def answer(self, asked: Asked) -> Mapping[str, Any] | None:
        """Do what is asked; what is returned goes along with the acknowledgement of the request."""
        if isinstance(asked, Submission):
            fault = fault_of(asked, words=self._words, now=self.clock.now())
            if fault is not None:
                return fault
        try:
            self._answer(asked)
        except DatabaseError as error:
            log.error("slack.database", extra={"error": str(error)})
            self._whisper(
                asked.reply_to,
                self._words.gettext("Not done: the database did not answer. Try again in a while."),
            )
        return None

    @property
    def _words(self) -> Wording:
        return self.telling.words

    def _answer(self, asked: Asked) -> None:
        match asked:
            case Click():
                if self._may(asked, Role.VIEWER if asked.action is ActionId.DETAILS else Role.FINANCE):
                    self._click(asked)
            case Submission():
                if self._may(asked, Role.FINANCE) and asked.expected is not None:
                    expected = datetime.fromtimestamp(asked.expected, UTC)
                    self._acknowledge(asked, asked.alert_id, note=asked.note[:MAX_NOTE], expects_by=expected)
            case Command():
                self._command(asked)
            case _:
                assert_never(asked)

    def _click(self, asked: Click) -> None:
        match asked.action:
            case ActionId.DETAILS:
                self._details(asked)
            case ActionId.ACKNOWLEDGE if asked.group is not None:
                self._acknowledge_group(asked, asked.group)
            case ActionId.ACKNOWLEDGE:
                self._acknowledge(asked, asked.alert_id)
            case ActionId.SILENCE:
                self._silence_alerts(asked)
            case ActionId.TOP_UP_ORDERED:
                self._open_form(asked)
            case _:
                assert_never(asked.action)

    def _command(self, asked: Command) -> None:
        wanted = parse_command(asked.text)
        match wanted:
            case Mute():
                if self._may(asked, Role.FINANCE):
                    self._silence(asked, wanted.pattern, wanted.length, wanted.reason)
            case _ if not self._may(asked, Role.VIEWER):
                pass
            case Help():
                fault = escaped(self._words.translate(wanted.fault))
                self._whisper(asked.reply_to, "\n\n".join(filter(None, (fault, self._help()))))
            case ShowList():
                self._whisper(asked.reply_to, self._patient(lambda: self.telling.listed(wanted.pattern)))
            case Why():
                self._whisper(asked.reply_to, self._patient(lambda: self.telling.why(wanted.target)))
            case _:
                assert_never(wanted)

    def _details(self, asked: Click) -> None:
        """Tell why an alert stands as it does; one of a group, which has no message of its own, with its buttons."""
        found = self._patient(lambda: self._find(asked.alert_id))
        if found is None:
            self._whisper(asked.reply_to, self._words.gettext("This alert is already closed."))
            return
        buttons = buttons_for(found, self._words, details=False) if asked.choice == MEMBER else []
        self._whisper(asked.reply_to, self._patient(lambda: self.telling.why_alert(found.alert)), buttons)

    def _acknowledge_group(self, asked: Click, group: ShownGroup) -> None:
        by = _actor(asked.person, asked.request)
        seen = self._patient(lambda: self.operate_alerts.acknowledge_all(self._members(group), by=by))
        if not seen:
            self._whisper(asked.reply_to, self._nothing_left())
            return
        self.on_done()
        self._whisper(
            asked.reply_to,
            self._words.ngettext(
                "Acknowledged %(count)s open alert: no reminders unless it gets worse.",
                "Acknowledged %(count)s open alerts: no reminders unless one gets worse.",
                len(seen),
            ),
        )

    def _acknowledge(
        self, asked: Click | Submission, alert_id: str, *, note: str = "", expects_by: datetime | None = None
    ) -> None:
        by = _actor(asked.person, asked.request)
        seen = self._patient(
            lambda: self.operate_alerts.acknowledge(alert_id, by=by, note=note, expects_by=expects_by)
        )
        if seen is None:
            self._whisper(asked.reply_to, self._words.gettext("This alert is already closed."))
            return
        self.on_done()
        subject = escaped(pattern_of(seen).text)
        if expects_by is None:
            text = self._words.gettext(
                "Acknowledged %(subject)s: no reminders unless it gets worse.", subject=subject
            )
        else:
            text = self._words.gettext(
                "Noted: a top-up of %(subject)s is expected by %(at)s. If the alert is still open then, it is sent again.",
                subject=subject,
                at=self._words.ahead(expects_by, now=self.clock.now()),
            )
        self._whisper(asked.reply_to, text)

    def _silence_alerts(self, asked: Click) -> None:
        meant = self._patient(lambda: self._open_alerts(asked))
        if not meant:
            self._whisper(
                asked.reply_to,
                self._nothing_left() if asked.group else self._words.gettext("This alert is already closed."),
            )
            return
        self._silence(asked, pattern_of(*meant), read_length(asked.choice), "")

    def _silence(
        self, asked: Click | Command, pattern: Pattern | Patterns, length: Length, reason: str
    ) -> None:
        until = end_of(length, now=self.clock.now(), zone=self.telling.words.zone)
        by = _actor(asked.person, asked.request)
        made = self._patient(
            lambda: self.operate_alerts.silence(pattern, until=until, reason=reason[:MAX_NOTE], by=by)
        )
        self.on_done()
        figures = {
            "pattern": escaped(made.pattern.text),
            "at": self._words.ahead(made.until, now=self.clock.now()),
        }
        if self.telling.means_something(made.pattern):
            text = self._words.gettext("Silenced %(pattern)s until %(at)s.", **figures)
        else:
            text = self._words.gettext(
                "Silenced %(pattern)s until %(at)s. It matches no wallet that is configured now.", **figures
            )
        self._whisper(asked.reply_to, text)

    def _open_form(self, asked: Click) -> None:
        form = top_up_form(asked.alert_id, asked.reply_to, words=self._words, now=self.clock.now())
        error = self.workspace.open_form(asked.trigger, form)
        if error is not None:
            self._whisper(
                asked.reply_to,
                self._words.gettext(
                    "The form could not be opened (%(error)s). Please click again.",
                    error=escaped(self._words.translate(error.message)),
                ),
            )

    def _open_alerts(self, asked: Click) -> list[Alert]:
        """Return what a click means, as far as it is open."""
        ids = [asked.alert_id] if asked.group is None else self._members(asked.group)
        found = filter(None, map(self._find, ids))
        return [last.alert for last in found if last.is_open]

    def _find(self, alert_id: str) -> AlertMessage | None:
        if not alert_id.isdecimal() or len(alert_id) > _LONGEST_ID:
            return None
        with self.database.read() as conn:
            return alerts.get(conn, int(alert_id))

    def _members(self, group: ShownGroup) -> list[str]:
        """Return the ids of the alerts that the group's message showed."""
        with self.database.read() as conn:
            found = groups.find(conn, group.group_id)
        return [] if found is None else [member.alert_id for member in found.members[: group.num_members]]

    def _may(self, asked: Asked, needed: Role) -> bool:
        if self.roles.may(asked.person.id, needed):
            return True
        if needed is Role.VIEWER:
            refusal = self._words.gettext(
                "You may not see balances here. Whoever maintains `[slack.roles]` can change that."
            )
        else:
            refusal = self._words.gettext(
                "You may see balances, but not acknowledge or silence. Whoever maintains `[slack.roles]` can change that."
            )
        self._whisper(asked.reply_to, refusal)
        return False

    def _nothing_left(self) -> str:
        return self._words.gettext("Nothing to do here: these alerts are closed or already acknowledged.")

    def _help(self) -> str:
        gettext = self._words.gettext
        return "\n".join(
            (
                "`/balance` " + gettext("the balances, most urgent first"),
                "`/balance acme/*:market` " + gettext("the balances that match a pattern"),
                "`/balance why acme/checkout:industry` "
                + gettext("how it is judged, who was notified, when it alerts next"),
                "`/balance silence acme/checkout 4h reason` "
                + gettext("silences it for a while; `tomorrow` means until tomorrow 9:00"),
            )
        )

    def _whisper(self, to: ReplyTo, text: str, buttons: Sequence[Block] = ()) -> None:
        self.workspace.whisper(to, text, buttons)

    def _patient(self, act: Callable[[], T]) -> T:
        """Do something with the database, and again while that doesn't answer; raises its error in the end."""
        until, pause = monotonic() + _TRIES_FOR, _FIRST_PAUSE
        while True:
            try:
                return act()
            except DatabaseError:
                if monotonic() > until or self.stopping.wait(pause):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)


def _actor(person: SlackUser, request: str) -> Actor:
    return Actor(who=person.who, way=Way.SLACK, request=request)
