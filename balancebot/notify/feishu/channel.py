"""Feishu (and Lark) by a custom bot: an interactive card for each message, signed where the bot has a secret.

The service's own rules: a signature's time may be an hour off; a request holds at most 20 KB; 100 messages a minute and
5 a second; errors come with status 200 and a code.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from balancebot.domain.message import OutgoingMessage
from balancebot.domain.verdict import Severity
from balancebot.notify.posting import (
    Post,
    PostedContent,
    PostingChannel,
    as_json,
    content_of,
    cut_to_bytes,
    signed,
)
from balancebot.ports import ChannelError, ChannelErrorKind

_MAX_TEXT_BYTES: Final = 14_000
"""Of the 20 KB: the rest of the card, and quotation marks that take two bytes."""
_COLORS: Final = {Severity.WARNING: "orange", Severity.CRITICAL: "red", Severity.DEPLETED: "carmine"}
_TOO_OFTEN: Final = frozenset({11232, 99991400})
_REFUSED: Final = frozenset({19001, 19021, 19022, 19024})
"""No such bot; wrong signature or clock; address not allowed; none of the bot's keywords in it."""


class FeishuChannel(PostingChannel):
    """One custom bot in one chat."""

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        body: dict[str, object] = {
            "msg_type": "interactive",
            "card": _card(content_of(outgoing, self._renderer)),
        }
        if self._secret:
            timestamp = str(int(now.timestamp()))
            body |= {"timestamp": timestamp, "sign": signed(f"{timestamp}\n{self._secret}".encode(), b"")}
        return Post(url=self._url, body=as_json(body))

    def _service_error(self, document: Mapping[str, Any]) -> ChannelError | None:
        code = document.get("code", document.get("StatusCode"))
        words = document.get("msg", document.get("StatusMessage"))
        if code == 0:
            return None
        if code is None:
            return self._refusal(ChannelErrorKind.IN_DOUBT, "200", "and not in its own words")
        if code in _TOO_OFTEN:
            return self._refusal(ChannelErrorKind.RATE_LIMITED, code, words, wait=timedelta(minutes=1))
        kind = ChannelErrorKind.AUTH if code in _REFUSED else ChannelErrorKind.REJECTED
        return self._refusal(kind, code, words)


def _card(content: PostedContent) -> dict[str, object]:
    """Build a card. Everything is plain text: a note can neither make a link nor mention anybody."""
    color = "blue" if content.severity is None else _COLORS.get(content.severity, "blue")
    if content.is_over:
        color = "green" if content.has_recovered else "grey"
    elements: list[dict[str, object]] = [
        {"tag": "div", "text": {"tag": "plain_text", "content": cut_to_bytes(content.text, _MAX_TEXT_BYTES)}}
    ]
    if content.link:
        button = {
            "tag": "button",
            "text": {"tag": "plain_text", "content": "balancebot ↗"},
            "type": "primary",
            "url": content.link,
        }
        elements.append({"tag": "action", "actions": [button]})
    return {
        "config": {"wide_screen_mode": True},
        "header": {"title": {"tag": "plain_text", "content": content.title[:200]}, "template": color},
        "elements": elements,
    }
