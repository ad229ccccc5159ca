"""DingTalk by a custom robot: each message is an action card, or Markdown if somebody is mentioned.

The service's rules: the signature and its time in milliseconds, which may be an hour off, are in the URL; 20 messages a
minute, and a block of ten minutes after more; at most 20,000 bytes; errors have status 200 and an `errcode`. An action
card can't mention people, so a mention needs Markdown.
"""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote_plus

from balancebot.domain.message import OutgoingMessage
from balancebot.notify.posting import (
    Post,
    PostingChannel,
    as_json,
    content_of,
    cut_to_bytes,
    ids_of,
    phones_of,
    signed,
    without_markdown,
)
from balancebot.ports import Capabilities, ChannelErrorKind, SendRate

_MAX_TEXT_BYTES: Final = 16_000


class DingTalkChannel(PostingChannel):
    """One custom robot in one chat."""

    capabilities = Capabilities(rate=SendRate(burst=5, gap=timedelta(seconds=6)))
    code_keys = ("errcode",)
    words_keys = ("errmsg",)
    errors = {  # noqa: RUF012 -- a table
        130101: ChannelErrorKind.RATE_LIMITED,
        130102: ChannelErrorKind.RATE_LIMITED,
        90030: ChannelErrorKind.RATE_LIMITED,
        410100: ChannelErrorKind.RATE_LIMITED,
        310000: ChannelErrorKind.AUTH,  # signature, keyword or IP address refused: the error text says which
        300001: ChannelErrorKind.AUTH,
        300005: ChannelErrorKind.AUTH,
        400013: ChannelErrorKind.AUTH,  # the group was dissolved
        400101: ChannelErrorKind.AUTH,  # no such robot
        400102: ChannelErrorKind.AUTH,  # the robot was switched off
        400106: ChannelErrorKind.AUTH,
        -1: ChannelErrorKind.SERVER,
    }
    pause = timedelta(minutes=10)

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        content = content_of(outgoing, self._renderer)
        title = without_markdown(content.headline)[:200]
        lines = without_markdown(cut_to_bytes(content.text, _MAX_TEXT_BYTES)).splitlines()
        text = f"#### {title}\n\n" + "\n\n".join(line.lstrip("#> ") for line in lines if line.strip())
        phones, ids = phones_of(outgoing), ids_of("dingtalk", outgoing)
        body: dict[str, object]
        if content.link and not phones and not ids:
            card = {
                "title": title,
                "text": text,
                "singleTitle": content.link_text,
                "singleURL": content.link,
            }
            body = {"msgtype": "actionCard", "actionCard": card}
        else:
            link = f"\n\n[{content.link_text}]({content.link})" if content.link else ""
            names = "".join(f" @{name}" for name in (*phones, *ids))
            mentions = f"\n\n{names.strip()}" if names else ""
            body = {
                "msgtype": "markdown",
                "markdown": {"title": title, "text": text + link + mentions},
                "at": {"atMobiles": phones, "atUserIds": ids, "isAtAll": False},
            }
        return Post(url=self._signed_url(now), body=as_json(body))

    def _signed_url(self, now: datetime) -> str:
        if not self._secret:
            return self._url
        timestamp = str(int(now.timestamp() * 1000))
        sign = quote_plus(signed(self._secret.encode(), f"{timestamp}\n{self._secret}".encode()))
        return f"{self._url}{'&' if '?' in self._url else '?'}timestamp={timestamp}&sign={sign}"
