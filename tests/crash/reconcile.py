"""Reconciles the expected transitions, the outbox, the messages in Slack and the mails of a deployment."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from balancebot.domain.alert import RECOVERIES, Cause, Reason
from balancebot.domain.message import Action, AlertMessage, OutgoingMessage, TestMessage
from balancebot.domain.routing import Destination
from balancebot.notify.email.compose import message_id
from balancebot.notify.slack.channel import EVENT_TYPE
from balancebot.store.tables import alerts, attempts, deliveries, notifications
from tests.crash.deployment import Deployment
from tests.crash.episodes import Transition

_SLACK, _EMAIL = "slack", "email"
_CALM = "Above its limits since"
_TITLES = {"ok": "Recovered", "warning": "Warning", "critical": "Critical", "depleted": "Depleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What is wrong, and how much there was."""

    losses: tuple[str, ...]
    """What wasn't sent, or isn't shown."""
    repeats: tuple[str, ...]
    """What was sent more than once, or without a cause."""
    num_transitions: int
    """How many openings, worsenings and recoveries there were."""
    num_merged: int
    """How many deliveries were merged into others of the same destination."""
    num_mails_twice: int
    """Mails that arrived again with the same `Message-ID`."""
    num_flapping: int
    """Alerts of balances that flapped."""
    num_recovering: int
    """Balances that are OK while their alert is still recovering."""
    num_deleted: int
    """Duplicates in Slack that were deleted."""


def reconcile(deployment: Deployment) -> Reconciliation:
    """Reconcile a deployment that is settled."""
    with deployment.database.read() as conn:
        sent = {row.id: row for row in conn.execute(select(deliveries))}
        doubts = Counter(
            conn.scalars(
                select(attempts.c.delivery_id).where(attempts.c.outcome.in_(("in_doubt", "taken_over")))
            )
        )
        decided = _decided(conn)
        titles = {
            row.id: (_title(row), row.calm_since is not None and row.closed_at is None)
            for row in conn.execute(select(alerts))
        }
    messages = _Sent(deployment, sent, doubts)
    losses = [
        *_differences(deployment.episodes.expected(), decided),
        *messages.losses(),
        *messages.outdated_messages(titles),
    ]
    return Reconciliation(
        losses=tuple(losses),
        repeats=tuple(messages.repeats()),
        num_transitions=sum(len(transitions) for episodes in decided.values() for transitions in episodes),
        num_merged=sum(row.superseded_by is not None for row in sent.values() if row.action != Action.EDIT),
        num_mails_twice=sum(times - 1 for times in messages.mails.values()),
        num_flapping=deployment.episodes.num_flapping,
        num_recovering=deployment.episodes.num_recovering,
        num_deleted=sum(not call.refused for call in deployment.slack.calls if call.method == "chat.delete"),
    )


def _decided(conn: Connection) -> dict[str, list[list[Transition]]]:
    """Return the transitions of each wallet by alert, as they are in the outbox."""
    found: dict[str, dict[int, list[Transition]]] = {}
    rows = conn.execute(
        select(notifications.c.alert_id, notifications.c.reason, notifications.c.message)
        .where(notifications.c.reason.is_not(None), notifications.c.alert_id.is_not(None))
        .order_by(notifications.c.id)
    )
    for row in rows:
        assert isinstance(row.message, AlertMessage)
        alert = row.message.alert
        # balances return to the same number here, so the bot rightly treats the reading in between as wrong
        was_wrong = alert.closed_because is Cause.WRONG_READING
        reason = Reason.RECOVERED if was_wrong else row.reason
        episodes = found.setdefault(str(alert.subject.wallet), {})
        episodes.setdefault(row.alert_id, []).append((reason, alert.severity.word))
    return {wallet: list(episodes.values()) for wallet, episodes in found.items()}


def _title(row: Row[Any]) -> str:
    return (
        "Closed"
        if row.closed_because is not None and row.closed_because not in RECOVERIES
        else _TITLES[row.severity]
    )


def _differences(
    expected: Mapping[str, list[list[Transition]]], decided: Mapping[str, list[list[Transition]]]
) -> Iterator[str]:
    for wallet in sorted({*expected, *decided}):
        wanted, found = expected.get(wallet, []), decided.get(wallet, [])
        if wanted != found:
            yield f"{wallet}: decided {found[-2:]} instead of {wanted[-2:]}"


class _Sent:
    """The messages in Slack and the mails, by delivery."""

    def __init__(
        self, deployment: Deployment, sent: Mapping[str, Row[Any]], doubts: Mapping[str, int]
    ) -> None:
        self._sent = sent
        self._doubts = doubts
        messages = [message for channel in deployment.slack.rooms.values() for message in channel.messages]
        self._messages = {message["ts"]: message for message in messages}
        self._num_in_slack = Counter(_delivery_of(message) for message in messages)
        self._in_slack = {_delivery_of(message): message for message in messages}
        self.mails = Counter(str(mail.message["Message-ID"]) for mail in deployment.mail.mails)
        self._roots = {row.id: _root(sent, row) for row in sent.values() if row.action != Action.EDIT}

    def losses(self) -> Iterator[str]:
        """Yield the deliveries whose message was not received."""
        for delivery_id, root in self._roots.items():
            row = self._sent[delivery_id]
            if root is None and row.alert_id is None and row.group_id is None:
                continue  # about a channel that refused: it worked again before the message was sent
            whose = f"delivery {delivery_id} (alert {row.alert_id}, {row.channel}, {row.action})"
            if root is None or root.state != "delivered":
                yield f"{whose} is {row.state} and no delivered one contains it"
            elif root.channel == _SLACK and not self._num_in_slack[root.id]:
                yield f"{whose} is not in Slack"
            elif root.channel == _EMAIL and not self.mails[_message_id(root)]:
                yield f"{whose} never came by mail"
            elif root.channel == _SLACK:
                yield from self._misplaced(root)

    def _misplaced(self, root: Row[Any]) -> Iterator[str]:
        below = self._in_slack[root.id].get("thread_ts")
        if (below is not None) != (root.action == Action.REPLY):
            yield f"delivery {root.id} is {'in a thread' if below else 'not in a thread'}, a {root.action}"
        elif below is not None and not self._is_own(self._messages.get(below), root):
            yield f"delivery {root.id} is in the thread of something else"

    def _is_own(self, parent: dict[str, Any] | None, root: Row[Any]) -> bool:
        if parent is None:
            return False
        made = self._sent[_delivery_of(parent)]
        return made.group_id is not None or made.alert_id == root.alert_id

    def repeats(self) -> Iterator[str]:
        """Yield the messages beyond the one of each delivery."""
        delivered = {
            root.id for root in self._roots.values() if root is not None and root.state == "delivered"
        }
        for delivery_id, times in self._num_in_slack.items():
            if times > 1:
                yield f"delivery {delivery_id} is in Slack {times} times"
            if delivery_id not in delivered:
                yield f"delivery {delivery_id} is in Slack although another contains it"
        ids = {
            _message_id(row)
            for delivery_id, row in self._sent.items()
            # mails can't be searched for: one that was twice in doubt may have arrived, and is part of a later one as well
            if row.channel == _EMAIL and (delivery_id in delivered or self._doubts.get(delivery_id, 0) > 1)
        }
        yield from (
            f"a mail {mail} came although another contains the same" for mail in self.mails if mail not in ids
        )

    def outdated_messages(self, titles: Mapping[int, tuple[str, bool]]) -> Iterator[str]:
        """Yield the living messages of single alerts that don't show the state of the alert."""
        for delivery_id, message in self._in_slack.items():
            row = self._sent.get(delivery_id)
            if row is None or row.alert_id is None or row.action != Action.POST:
                continue
            title, calm = titles[row.alert_id]
            if calm != (_CALM in str(message["blocks"])):
                yield f"the message of alert {row.alert_id} {'does not say' if calm else 'says'} that it is recovering"
            # an edited message has the title within a sentence, before "(was …)"
            head = message["text"].partition("—")[0].partition("(was")[0]
            if title.casefold() not in head.casefold():
                yield f"the message of alert {row.alert_id} says {message['text']!r} and not {title}"


def _root(sent: Mapping[str, Row[Any]], row: Row[Any]) -> Row[Any] | None:
    """Return the delivery that contains the message of `row` in the end."""
    while row.state == "superseded":
        if row.superseded_by is None:
            return None
        row = sent[row.superseded_by]
    return row


def _delivery_of(message: dict[str, Any]) -> str:
    metadata = message.get("metadata") or {}
    return str(metadata["event_payload"]["delivery"]) if metadata.get("event_type") == EVENT_TYPE else ""


def _message_id(row: Row[Any]) -> str:
    outgoing = OutgoingMessage(
        delivery_id=row.id,
        alert_id="",
        action=Action(row.action),
        destination=Destination(row.channel, row.destination),
        message=TestMessage(at=row.created_at),
        created_at=row.created_at,
    )
    return message_id(outgoing, domain="example.com")
