"""WeCom by a group robot: each message is Markdown of at most 4,096 bytes, or text if a phone number is mentioned.

The service's rules: the key in the URL is the only secret; 20 messages a minute; errors have status 200 and an
`errcode`. Markdown can mention members by id; only text, of at most 2,048 bytes, can mention phone numbers.
"""

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
    phones_of,
    without_markdown,
)
from balancebot.ports import Capabilities, ChannelErrorKind, SendRate

_MAX_BYTES: Final = 4096
_MAX_PLAIN_BYTES: Final = 2048
_MAX_TITLE_BYTES: Final = 400
_MAX_IDS: Final = 20
_ALARMING: Final = frozenset({Severity.WARNING, Severity.CRITICAL, Severity.DEPLETED})


class WeComChannel(PostingChannel):
    """One group robot in one chat."""

    capabilities = Capabilities(rate=SendRate(burst=5, gap=timedelta(seconds=6)))
    code_keys = ("errcode",)
    words_keys = ("errmsg",)
    errors = {  # noqa: RUF012 -- a table
        45009: ChannelErrorKind.RATE_LIMITED,
        45033: ChannelErrorKind.RATE_LIMITED,
        93000: ChannelErrorKind.AUTH,  # no such robot
        93004: ChannelErrorKind.AUTH,  # the robot was switched off
        93008: ChannelErrorKind.AUTH,  # it is no longer in the group
        93017: ChannelErrorKind.AUTH,
        40014: ChannelErrorKind.AUTH,
        -1: ChannelErrorKind.SERVER,
    }

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        del now
        content = content_of(outgoing, self._renderer)
        ids, phones = ids_of("wecom", outgoing)[:_MAX_IDS], phones_of(outgoing)[:_MAX_IDS]
        body = _text(content, ids, phones) if phones else _markdown(content, ids)
        return Post(url=self._url, body=as_json(body))


def _markdown(content: PostedContent, ids: list[str]) -> dict[str, object]:
    color = "warning" if content.severity in _ALARMING and not content.is_over else "info"
    title = without_markdown(cut_to_bytes(content.headline, _MAX_TITLE_BYTES))
    head = f'**<font color="{color}">{title}</font>**\n'
    link = f"\n[{content.link_text}]({content.link})" if content.link else ""
    mentions = "\n" + "".join(f"<@{id_}>" for id_ in ids) if ids else ""
    left = _MAX_BYTES - len((head + link + mentions).encode())
    text = cut_to_bytes(without_markdown(content.text), left)
    return {"msgtype": "markdown", "markdown": {"content": head + text + link + mentions}}


def _text(content: PostedContent, ids: list[str], phones: list[str]) -> dict[str, object]:
    head = cut_to_bytes(content.headline, _MAX_TITLE_BYTES) + "\n"
    link = f"\n{content.link}" if content.link else ""
    left = _MAX_PLAIN_BYTES - len((head + link).encode())
    text = head + cut_to_bytes(content.text, left) + link
    return {
        "msgtype": "text",
        "text": {"content": text, "mentioned_list": ids, "mentioned_mobile_list": phones},
    }
