"""JSON to your own URL, signed according to the Standard Webhooks specification.

`webhook-id` is the delivery's id, the same for each attempt, so that a receiver can drop duplicates.
"""

from base64 import b64decode
from datetime import datetime
from typing import Any, Final

from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    Message,
    NoticeMessage,
    OutgoingMessage,
    SilenceMessage,
    TestMessage,
)
from balancebot.i18n import Wording
from balancebot.notify.posting import (
    Post,
    PostingChannel,
    as_json,
    content_of,
    data_of_alert,
    instant_text,
    signed,
)
from balancebot.notify.render import Renderer

_PREFIX: Final = "whsec_"


class WebhookChannel(PostingChannel):
    """One URL."""

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        body = as_json(_document(outgoing, self._renderer))
        timestamp = str(int(now.timestamp()))
        headers = {"webhook-id": outgoing.delivery_id, "webhook-timestamp": timestamp}
        if self._secret:
            key = (
                b64decode(self._secret.removeprefix(_PREFIX))
                if self._secret.startswith(_PREFIX)
                else self._secret.encode()
            )
            signature = signed(key, f"{outgoing.delivery_id}.{timestamp}.".encode() + body)
            headers["webhook-signature"] = f"v1,{signature}"
        return Post(url=self._url, body=body, headers=headers)


def _document(outgoing: OutgoingMessage, renderer: Renderer) -> dict[str, object]:
    content = content_of(outgoing, renderer)
    shown = {"title": content.title, "text": content.text, "link": content.link or None}
    message = outgoing.message
    return {
        "type": f"balancebot.{_type_of(message)}",
        "timestamp": instant_text(outgoing.created_at),
        "data": {**_data_of(message, renderer.words_for(message)), **shown},
    }


def _type_of(message: Message) -> str:
    match message:
        case AlertMessage():
            return f"alert.{message.reason.value if message.reason else 'edited'}"
        case GroupMessage():
            return "alerts.opened"
        case DigestMessage():
            return "digest"
        case TestMessage():
            return "test"
        case ChannelFailureMessage():
            return "channel.refused"
        case SilenceMessage():
            return "silence"
        case NoticeMessage():
            return "notice" if message.statement is None else "statement"


def _data_of(message: Message, words: Wording) -> dict[str, Any]:
    match message:
        case AlertMessage():
            return data_of_alert(message, words)
        case GroupMessage():
            return {
                "alerts": [data_of_alert(member, words) for member in message.members],
                "new": list(message.new),
            }
        case NoticeMessage():
            return {} if message.statement is None else {"month": message.statement.name}
        case DigestMessage():
            return {"name": message.name, "slot": message.slot}
        case ChannelFailureMessage():
            return {
                "channel": message.channel,
                "destination": message.destination,
                "error": str(message.message),
            }
        case SilenceMessage():
            return {
                "id": str(message.silence_id),
                "pattern": message.pattern,
                "until": instant_text(message.until),
                "reason": message.reason,
                "created_by": message.created_by,
            }
        case TestMessage():
            return {}
