"""Feishu (and Lark) by a custom bot: each message is an interactive card, signed if the bot has a secret.

The service's rules: the time of a signature may be an hour off; a request has at most 20 KB; 100 messages a minute and
5 a second; errors have status 200 or 400 and a code.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from balancebot.domain.message import OutgoingMessage
from balancebot.domain.verdict import Severity
from balancebot.notify.posting import (
    Post,
    PostedContent,
    PostingChannel,
    as_json,
    content_of,
    cut_to_bytes,
    ids_of,
    signed,
)
from balancebot.ports import Capabilities, ChannelErrorKind, SendRate

_MAX_TEXT_BYTES: Final = 14_000
"""The rest of the 20 KB is for the other parts of the card, and for quotation marks, which take two bytes each."""
_COLORS: Final = {Severity.WARNING: "orange", Severity.CRITICAL: "red", Severity.DEPLETED: "carmine"}
_OPEN_ID: Final = re.compile(r"ou_[a-z0-9]+")


class FeishuChannel(PostingChannel):
    """One custom bot in one chat."""

    capabilities = Capabilities(rate=SendRate(burst=4, gap=timedelta(seconds=2)))
    code_keys = ("code", "StatusCode")
    words_keys = ("msg", "StatusMessage")
    errors = {  # noqa: RUF012 -- a table
        11232: ChannelErrorKind.RATE_LIMITED,
        99991400: ChannelErrorKind.RATE_LIMITED,
        19001: ChannelErrorKind.AUTH,  # no such bot
        19021: ChannelErrorKind.AUTH,  # wrong signature, or a clock an hour off
        19022: ChannelErrorKind.AUTH,  # this machine's IP address isn't allowed
        19024: ChannelErrorKind.AUTH,  # the message contains none of the bot's keywords
        19002: ChannelErrorKind.REJECTED,
        9499: ChannelErrorKind.REJECTED,
    }

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        ids = [id_ for id_ in outgoing.mentions if _OPEN_ID.fullmatch(id_)] + ids_of("feishu", outgoing)
        body: dict[str, object] = {
            "msg_type": "interactive",
            "card": _card(content_of(outgoing, self._renderer), ids),
        }
        if self._secret:
            timestamp = str(int(now.timestamp()))
            body |= {"timestamp": timestamp, "sign": signed(f"{timestamp}\n{self._secret}".encode(), b"")}
        return Post(url=self._url, body=as_json(body))


def _card(content: PostedContent, ids: list[str]) -> dict[str, object]:
    """Build a card. Everything from outside is plain text, so that a note can't make links or mentions."""
    color = "blue" if content.severity is None else _COLORS.get(content.severity, "blue")
    if content.is_over:
        color = "green" if content.has_recovered else "grey"
    elements: list[dict[str, object]] = [
        {"tag": "div", "text": {"tag": "plain_text", "content": cut_to_bytes(content.text, _MAX_TEXT_BYTES)}}
    ]
    if ids:
        mentions = " ".join(f"<at id={id_}></at>" for id_ in ids)
        elements.append({"tag": "div", "text": {"tag": "lark_md", "content": mentions}})
    if content.link:
        button = {
            "tag": "button",
            "text": {"tag": "plain_text", "content": content.link_text},
            "type": "primary",
            "url": content.link,
        }
        elements.append({"tag": "action", "actions": [button]})
    return {
        "config": {"wide_screen_mode": True},
        "header": {"title": {"tag": "plain_text", "content": content.headline[:200]}, "template": color},
        "elements": elements,
    }
