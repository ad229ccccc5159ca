"""PagerDuty by the Events API v2: each alert is an incident, which is triggered, acknowledged and resolved with it.

`dedup_key` is the alert's id, so that an event which is sent twice has no further effect. The service's rules: status
202 for an accepted event, 429 for too many, 400 for one that it will never accept; a summary has at most 1,024
characters.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from balancebot.domain.balance import account_of
from balancebot.domain.message import (
    Action,
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    MessageRef,
    NoticeMessage,
    OutgoingMessage,
    TestMessage,
)
from balancebot.domain.sentence import sentence
from balancebot.domain.verdict import Severity
from balancebot.network import HttpAnswer
from balancebot.notify.posting import (
    Post,
    PostedContent,
    PostingChannel,
    as_json,
    content_of,
    data_of_alert,
)
from balancebot.ports import Capabilities, ChannelError, ChannelErrorKind

EVENTS_URL: Final = "https://events.pagerduty.com/v2/enqueue"
_MAX_SUMMARY: Final = 1024
_SOURCE: Final = "balancebot"


class EventAction(StrEnum):
    """What an event does to its incident."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class PagerDutyChannel(PostingChannel):
    """One integration of one service."""

    capabilities = Capabilities(can_edit=True, has_threads=True, one_by_one=True)

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Send the events for a message; the ref contains the incident's key."""
        if isinstance(outgoing.message, DigestMessage):
            return ChannelError(
                kind=ChannelErrorKind.REJECTED, message=sentence("PagerDuty takes alerts only")
            )
        for action in _actions_of(outgoing):
            if error := self._send(self._event(outgoing, action), holds_claim):
                return error
        return MessageRef(channel_id="pagerduty", message_id=_key_of(outgoing))

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        del now
        return self._event(outgoing, _actions_of(outgoing)[0])

    def _event(self, outgoing: OutgoingMessage, action: EventAction) -> Post:
        event: dict[str, Any] = {
            "routing_key": self._secret,
            "event_action": action.value,
            "dedup_key": _key_of(outgoing),
        }
        if action is EventAction.TRIGGER:
            content = content_of(outgoing, self._renderer)
            event |= {"client": _SOURCE, "payload": self._payload(outgoing, content)}
            if content.link:
                event |= {
                    "client_url": content.link,
                    "links": [{"href": content.link, "text": "balancebot"}],
                }
        return Post(url=self._url, body=as_json(event))

    def _payload(self, outgoing: OutgoingMessage, content: PostedContent) -> dict[str, Any]:
        message = outgoing.message
        payload: dict[str, Any] = {
            "summary": content.title[:_MAX_SUMMARY],
            "source": _SOURCE,
            "severity": _severity_of(outgoing),
            "timestamp": outgoing.created_at.isoformat(),
            "custom_details": {"text": content.text},
        }
        if isinstance(message, AlertMessage):
            subject = message.alert.subject
            details = data_of_alert(message, self._renderer.words_for(message))
            payload |= {
                "source": subject.wallet,
                "component": "" if subject.category is None else subject.category.value,
                "group": account_of(subject.wallet),
                "class": subject.kind.value,
                "custom_details": {"text": content.text, **details},
            }
        return payload

    def _error_in(self, answer: HttpAnswer) -> ChannelError | None:
        if answer.status == 202:
            return None
        if 200 <= answer.status < 300:
            return self._doubt(answer)
        error = super()._error_in(answer)
        is_key = answer.status == 400 and "routing" in answer.text.lower()
        if error is not None and is_key:
            return ChannelError(kind=ChannelErrorKind.AUTH, message=error.message)
        return error


def _actions_of(outgoing: OutgoingMessage) -> list[EventAction]:
    """Return the events for a message, in this order; none if the incident already shows it."""
    match outgoing.message:
        case AlertMessage() as message if message.is_open:
            trigger = [] if outgoing.action is Action.EDIT else [EventAction.TRIGGER]
            # an alert that was acknowledged before PagerDuty got it must not wake anybody
            return [*trigger, EventAction.ACKNOWLEDGE] if message.alert.acknowledged_by else trigger
        case AlertMessage():
            return [] if outgoing.action is Action.EDIT else [EventAction.RESOLVE]
        case TestMessage():
            return [EventAction.TRIGGER, EventAction.RESOLVE]
        case NoticeMessage() as notice if not notice.is_trouble:
            return []  # it can wait for somebody to read it elsewhere
        case _:
            return [EventAction.TRIGGER]


def _key_of(outgoing: OutgoingMessage) -> str:
    match outgoing.message:
        case AlertMessage() as message:
            return message.alert_id
        case ChannelFailureMessage(channel=channel, destination=destination):
            return f"{channel} {destination}"[:255]
        case _:
            return outgoing.delivery_id


def _severity_of(outgoing: OutgoingMessage) -> str:
    match outgoing.message:
        case AlertMessage() as message:
            return "critical" if message.alert.severity >= Severity.CRITICAL else "warning"
        case GroupMessage() as group:
            worst = max((item.alert.severity for item in group.members), default=Severity.WARNING)
            return "critical" if worst >= Severity.CRITICAL else "warning"
        case ChannelFailureMessage() | NoticeMessage():
            return "error"
        case _:
            return "info"
