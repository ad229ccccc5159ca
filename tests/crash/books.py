"""The books of a town compared: what ought to be told, what was decided, and what stands on Slack and came by mail."""

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
from balancebot.store.tables import alerts, deliveries, notifications
from tests.crash.episodes import News
from tests.crash.town import Town

_SLACK, _EMAIL = "slack", "email"
_CALM = "Above its limits since"
_TITLES = {"ok": "Recovered", "warning": "Warning", "critical": "Critical", "depleted": "Depleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is wrong with the books, and what is worth knowing of them."""

    losses: tuple[str, ...]
    """What wasn't told, or isn't shown."""
    repeats: tuple[str, ...]
    """What was told more than once, or without a cause."""
    num_news: int
    """How many openings, worsenings and recoveries there were."""
    num_merged: int
    """How often news went out in one message with other news of the same channel."""
    num_mails_twice: int
    """Mails that came again under their `Message-ID`."""
    num_flapping: int
    """Episodes of balances that flapped."""
    num_held: int
    """Balances that flap, are well, and wait to be told so."""
    num_deleted: int
    """Messages on Slack that stood twice and were deleted."""


def compare(town: Town) -> Balance:
    """Compare the books of a town that is quiet."""
    with town.database.read() as conn:
        sent = {row.id: row for row in conn.execute(select(deliveries))}
        decided = _decided(conn)
        looks = {
            row.id: (_title(row), row.calm_since is not None and row.closed_at is None)
            for row in conn.execute(select(alerts))
        }
    books = _Books(town, sent)
    losses = [*_differences(town.episodes.told(), decided), *books.losses(), *books.wrong_looks(looks)]
    return Balance(
        losses=tuple(losses),
        repeats=tuple(books.repeats()),
        num_news=sum(len(news) for episodes in decided.values() for news in episodes),
        num_merged=sum(row.superseded_by is not None for row in sent.values() if row.action != Action.EDIT),
        num_mails_twice=sum(times - 1 for times in books.mails.values()),
        num_flapping=town.episodes.num_flapping,
        num_held=town.episodes.num_held,
        num_deleted=sum(not call.refused for call in town.slack.calls if call.method == "chat.delete"),
    )


def _decided(conn: Connection) -> dict[str, list[list[News]]]:
    """Return the news of each wallet, episode by episode, as the outbox has it."""
    found: dict[str, dict[int, list[News]]] = {}
    rows = conn.execute(
        select(notifications.c.alert_id, notifications.c.reason, notifications.c.message)
        .where(notifications.c.reason.is_not(None), notifications.c.alert_id.is_not(None))
        .order_by(notifications.c.id)
    )
    for row in rows:
        assert isinstance(row.message, AlertMessage)
        alert = row.message.alert
        # the town's balances return to the very same number, which is rightly taken for a reading that was wrong
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
    expected: Mapping[str, list[list[News]]], decided: Mapping[str, list[list[News]]]
) -> Iterator[str]:
    for wallet in sorted({*expected, *decided}):
        wanted, found = expected.get(wallet, []), decided.get(wallet, [])
        if wanted != found:
            yield f"{wallet}: decided {found[-2:]} where {wanted[-2:]} had to be"


class _Books:
    """What stands outside, by delivery."""

    def __init__(self, town: Town, sent: Mapping[str, Row[Any]]) -> None:
        self._sent = sent
        messages = [message for room in town.slack.rooms.values() for message in room.messages]
        self._messages = {message["ts"]: message for message in messages}
        self._standing = Counter(_delivery_of(message) for message in messages)
        self._where = {_delivery_of(message): message for message in messages}
        self.mails = Counter(str(mail.message["Message-ID"]) for mail in town.mail.mails)
        self._roots = {row.id: _root(sent, row) for row in sent.values() if row.action != Action.EDIT}

    def losses(self) -> Iterator[str]:
        """Yield the news that was told to nobody."""
        for delivery_id, root in self._roots.items():
            row = self._sent[delivery_id]
            if root is None and row.alert_id is None and row.group_id is None:
                continue  # that a channel refused: it was mended before anybody could be told
            whose = f"delivery {delivery_id} (alert {row.alert_id}, {row.channel}, {row.action})"
            if root is None or root.state != "delivered":
                yield f"{whose} is {row.state} and nothing delivered carries it"
            elif root.channel == _SLACK and not self._standing[root.id]:
                yield f"{whose} does not stand on Slack"
            elif root.channel == _EMAIL and not self.mails[_message_id(root)]:
                yield f"{whose} never came by mail"
            elif root.channel == _SLACK:
                yield from self._out_of_place(root)

    def _out_of_place(self, root: Row[Any]) -> Iterator[str]:
        below = self._where[root.id].get("thread_ts")
        if (below is not None) != (root.action == Action.REPLY):
            yield f"delivery {root.id} stands {'in a thread' if below else 'by itself'}, a {root.action}"
        elif below is not None and not self._is_own(self._messages.get(below), root):
            yield f"delivery {root.id} stands in a thread of something else"

    def _is_own(self, parent: dict[str, Any] | None, root: Row[Any]) -> bool:
        if parent is None:
            return False
        made = self._sent[_delivery_of(parent)]
        return made.group_id is not None or made.alert_id == root.alert_id

    def repeats(self) -> Iterator[str]:
        """Yield what stands without being the one message of its news."""
        kept = {root.id for root in self._roots.values() if root is not None and root.state == "delivered"}
        for delivery_id, times in self._standing.items():
            if times > 1:
                yield f"delivery {delivery_id} stands {times} times"
            if delivery_id not in kept:
                yield f"delivery {delivery_id} stands although another tells its news"
        ids = {
            _message_id(self._sent[delivery_id])
            for delivery_id in kept
            if self._sent[delivery_id].channel == _EMAIL
        }
        yield from (
            f"a mail {mail} came that tells what another tells" for mail in self.mails if mail not in ids
        )

    def wrong_looks(self, looks: Mapping[int, tuple[str, bool]]) -> Iterator[str]:
        """Yield the living messages of single alerts that don't show how it stands."""
        for delivery_id, message in self._where.items():
            row = self._sent.get(delivery_id)
            if row is None or row.alert_id is None or row.action != Action.POST:
                continue
            title, calm = looks[row.alert_id]
            if calm != (_CALM in str(message["blocks"])):
                yield f"the message of alert {row.alert_id} {'does not say' if calm else 'says'} that it is well"
            # a message that began as news says it in the midst of a sentence, before "(was …)"
            head = message["text"].partition("—")[0].partition("(was")[0]
            if title.casefold() not in head.casefold():
                yield f"the message of alert {row.alert_id} says {message['text']!r} and not {title}"


def _root(sent: Mapping[str, Row[Any]], row: Row[Any]) -> Row[Any] | None:
    """Return the delivery that carries the news of `row` in the end."""
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
