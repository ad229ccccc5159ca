"""Do what members of the workspace request in Slack, if `[slack.roles]` allows it; only they see the answer.

Each act is done once and gets an audit entry.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeVar, assert_never

from balancebot.alerts.acts import OperateAlerts
from balancebot.domain.alert import Alert
from balancebot.domain.audit import Actor, Via
from balancebot.domain.message import AlertMessage
from balancebot.domain.number_text import read_quantity
from balancebot.domain.pattern import Pattern, Patterns, names_one_wallet
from balancebot.domain.sentence import Sentence
from balancebot.domain.silence import pattern_of
from balancebot.domain.user import Role
from balancebot.i18n import Wording
from balancebot.notify.slack.blocks import MEMBER, ActionId, Block, ShownGroup, buttons_for
from balancebot.notify.slack.payloads import (
    Click,
    Command,
    Help,
    Length,
    Mute,
    ReplyTo,
    ShowList,
    SlackRequest,
    SlackUser,
    Submission,
    Why,
    end_of,
    parse_command,
    read_length,
)
from balancebot.notify.slack.responses import (
    MAX_NOTE,
    SlackQueries,
    SlackWorkspace,
    escaped,
    fault_of,
    top_up_form,
)
from balancebot.notify.slack.roles import Roles
from balancebot.orders.orders import OperateOrders
from balancebot.ports import Clock
from balancebot.store import alerts, outbox
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES_FOR = 90.0
"""How many seconds to retry if the database doesn't answer."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_LONGEST_ID = 18
_LONGEST_WITHOUT_ROLE = timedelta(hours=24)
"""For how long a person without a role may silence one wallet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackHandlers:
    """Handles requests, also several at the same time."""

    database: Database
    clock: Clock
    operate_alerts: OperateAlerts
    operate_orders: OperateOrders
    queries: SlackQueries
    roles: Roles
    workspace: SlackWorkspace
    on_done: Callable[[], None]
    """Called after each act, because messages must be edited."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when retries must end."""

    def answer(self, request: SlackRequest) -> Mapping[str, Any] | None:
        """Do what a request asks for; return the payload for its acknowledgement, if any."""
        if isinstance(request, Submission):
            fault = fault_of(request, words=self._words, now=self.clock.now())
            if fault is not None:
                return fault
        try:
            self._answer(request)
        except DatabaseError as error:
            log.error("slack.database", extra={"error": str(error)})
            self._reply_privately(
                request.reply_to,
                self._words.gettext("Not done: the database did not answer. Try again in a while."),
            )
        return None

    @property
    def _words(self) -> Wording:
        return self.queries.words

    def _answer(self, request: SlackRequest) -> None:
        fault = self.roles.stranger_fault(request.person)
        if fault is not None:
            log.info("slack.refused", extra={"person": request.person.named, "team": request.person.team})
            self._reply_privately(request.reply_to, self._words.translate(fault))
            return
        match request:
            case Click():
                self._click(request)
            case Submission():
                if request.expected is not None:
                    self._expect_top_up(request, datetime.fromtimestamp(request.expected, UTC))
            case Command():
                self._command(request)
            case _:
                assert_never(request)

    def _expect_top_up(self, request: Submission, expected_at: datetime) -> None:
        """Record the order, if the form has a quantity, then acknowledge the alert: its message counts the order."""
        note = request.note[:MAX_NOTE]
        recorded = self._record_order(request, expected_at, note)
        self._acknowledge(request, request.alert_id, note=note, expects_by=expected_at, more=recorded)

    def _record_order(self, request: Submission, expected_at: datetime, note: str) -> str:
        """Record an order if the form has a quantity; return what to say about it."""
        quantity = read_quantity(request.quantity) if request.quantity else None
        found = self._with_retry(lambda: self._find(request.alert_id))
        balance = None if found is None else found.alert.subject.balance
        if not isinstance(quantity, int) or balance is None:
            return ""
        by = _actor(request.person, f"{request.id} order")
        made = self._with_retry(
            lambda: self.operate_orders.add(
                balance, quantity=quantity, expected_at=expected_at, note=note, by=by
            )
        )
        if isinstance(made, Sentence):
            return self._words.gettext("No order is recorded: %(fault)s.", fault=self._words.translate(made))
        return self._words.gettext(
            "Order %(id)s is recorded: %(count)s messages.",
            id=made.id,
            count=self._words.number(made.quantity),
        )

    def _click(self, request: Click) -> None:
        match request.action:
            case ActionId.DETAILS:
                if self._may_see(request):
                    self._details(request)
            case ActionId.ACKNOWLEDGE if request.group is not None:
                self._acknowledge_group(request, request.group)
            case ActionId.ACKNOWLEDGE:
                self._acknowledge(request, request.alert_id)
            case ActionId.SILENCE:
                self._silence_alerts(request)
            case ActionId.TOP_UP_ORDERED:
                self._open_form(request)
            case _:
                assert_never(request.action)

    def _command(self, request: Command) -> None:
        wanted = parse_command(request.text)
        match wanted:
            case Mute():
                self._silence(request, wanted.pattern, wanted.length, wanted.reason)
            case _ if not self._may_see(request):
                pass
            case Help():
                fault = escaped(self._words.translate(wanted.fault))
                self._reply_privately(request.reply_to, "\n\n".join(filter(None, (fault, self._help()))))
            case ShowList():
                self._reply_privately(
                    request.reply_to, self._with_retry(lambda: self.queries.listed(wanted.pattern))
                )
            case Why():
                self._reply_privately(
                    request.reply_to, self._with_retry(lambda: self.queries.why(wanted.target))
                )
            case _:
                assert_never(wanted)

    def _details(self, request: Click) -> None:
        """Explain an alert. For an alert of a group, which has no message of its own, add its buttons."""
        found = self._with_retry(lambda: self._find(request.alert_id))
        if found is None:
            self._reply_privately(request.reply_to, self._words.gettext("This alert is already closed."))
            return
        buttons = buttons_for(found, self._words, details=False) if request.choice == MEMBER else []
        self._reply_privately(
            request.reply_to, self._with_retry(lambda: self.queries.why_alert(found.alert)), buttons
        )

    def _acknowledge_group(self, request: Click, group: ShownGroup) -> None:
        by = _actor(request.person, request.id)
        seen = self._with_retry(lambda: self.operate_alerts.acknowledge_all(self._members(group), by=by))
        if not seen:
            self._reply_privately(request.reply_to, self._nothing_left())
            return
        self.on_done()
        self._reply_privately(
            request.reply_to,
            self._words.ngettext(
                "Acknowledged %(count)s open alert: no reminders unless it gets worse.",
                "Acknowledged %(count)s open alerts: no reminders unless one gets worse.",
                len(seen),
            ),
        )

    def _acknowledge(
        self,
        request: Click | Submission,
        alert_id: str,
        *,
        note: str = "",
        expects_by: datetime | None = None,
        more: str = "",
    ) -> None:
        """Acknowledge an alert and answer the person; `more` is added to the answer."""
        by = _actor(request.person, request.id)
        seen = self._with_retry(
            lambda: self.operate_alerts.acknowledge(alert_id, by=by, note=note, expects_by=expects_by)
        )
        if seen is None:
            text = self._words.gettext("This alert is already closed.")
        elif expects_by is None:
            text = self._words.gettext(
                "Acknowledged %(subject)s: no reminders unless it gets worse.",
                subject=escaped(pattern_of(seen).text),
            )
        else:
            text = self._words.gettext(
                "Noted: a top-up of %(subject)s is expected by %(at)s. If the alert is still open then, it is sent again.",
                subject=escaped(pattern_of(seen).text),
                at=self._words.ahead(expects_by, now=self.clock.now()),
            )
        if seen is not None:
            self.on_done()
        self._reply_privately(request.reply_to, f"{text} {escaped(more)}".rstrip())

    def _silence_alerts(self, request: Click) -> None:
        found = self._with_retry(lambda: self._open_alerts(request))
        if not found:
            self._reply_privately(
                request.reply_to,
                self._nothing_left()
                if request.group
                else self._words.gettext("This alert is already closed."),
            )
            return
        self._silence(request, pattern_of(*found), read_length(request.choice), "")

    def _silence(
        self, request: Click | Command, pattern: Pattern | Patterns, length: Length, reason: str
    ) -> None:
        now = self.clock.now()
        until = end_of(length, now=now, zone=self.queries.words.zone)
        is_small = names_one_wallet(pattern) and until - now <= _LONGEST_WITHOUT_ROLE
        if not is_small and not self.roles.may(request.person.id, Role.FINANCE):
            self._reply_privately(
                request.reply_to,
                self._words.gettext(
                    "Not silenced: without the role finance you may silence one wallet, by its full name, for at most "
                    "24 hours, as in `/balance silence acme/checkout 4h`. Ask somebody with that role, or whoever maintains "
                    "`[slack.roles]`."
                ),
            )
            return
        by = _actor(request.person, request.id)
        made = self._with_retry(
            lambda: self.operate_alerts.silence(pattern, until=until, reason=reason[:MAX_NOTE], by=by)
        )
        self.on_done()
        figures = {
            "pattern": escaped(made.pattern.text),
            "at": self._words.ahead(made.until, now=self.clock.now()),
        }
        if self.queries.matches_any(made.pattern):
            text = self._words.gettext("Silenced %(pattern)s until %(at)s.", **figures)
        else:
            text = self._words.gettext(
                "Silenced %(pattern)s until %(at)s. It matches no wallet that is configured now.", **figures
            )
        self._reply_privately(request.reply_to, text)

    def _open_form(self, request: Click) -> None:
        found = self._with_retry(lambda: self._find(request.alert_id))
        balance = None if found is None else found.alert.subject.balance
        if balance is None:
            self._reply_privately(request.reply_to, self._words.gettext("This alert is already closed."))
            return
        form = top_up_form(
            request.alert_id,
            request.reply_to,
            lead_time=self._with_retry(lambda: self.queries.lead_time(*balance)),
            words=self._words,
            now=self.clock.now(),
        )
        error = self.workspace.open_form(request.trigger, form)
        if error is not None:
            self._reply_privately(
                request.reply_to,
                self._words.gettext(
                    "The form could not be opened (%(error)s). Please click again.",
                    error=escaped(self._words.translate(error.message)),
                ),
            )

    def _open_alerts(self, request: Click) -> list[Alert]:
        """Return the open alerts that a click is about."""
        ids = [request.alert_id] if request.group is None else self._members(request.group)
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
            found = outbox.find_group(conn, group.group_id)
        return [] if found is None else [member.alert_id for member in found.members[: group.num_members]]

    def _may_see(self, request: SlackRequest) -> bool:
        if self.roles.may(request.person.id, Role.VIEWER):
            return True
        self._reply_privately(
            request.reply_to,
            self._words.gettext(
                "You may not see balances here. Whoever maintains `[slack.roles]` can change that."
            ),
        )
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

    def _reply_privately(self, to: ReplyTo, text: str, buttons: Sequence[Block] = ()) -> None:
        self.workspace.reply_privately(to, text, buttons)

    def _with_retry(self, act: Callable[[], T]) -> T:
        """Call `act`, and retry as long as the database doesn't answer; raises its error in the end."""
        until, pause = monotonic() + _TRIES_FOR, _FIRST_PAUSE
        while True:
            try:
                return act()
            except DatabaseError:
                if monotonic() > until or self.stopping.wait(pause):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)


def _actor(person: SlackUser, request_id: str) -> Actor:
    return Actor(name=person.named, via=Via.SLACK, request=request_id)
