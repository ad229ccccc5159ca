"""DingTalk by a custom robot: an action card or Markdown for each message, signed in the address where it has a secret.

The service's own rules: a signature's time in milliseconds may be an hour off; 20 messages a minute, and ten minutes of
silence for who sends more; errors come with status 200 and an `errcode`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus

from balancebot.domain.message import OutgoingMessage
from balancebot.notify.posting import (
    Post,
    PostingChannel,
    as_json,
    content_of,
    cut_to_bytes,
    signed,
    without_markdown,
)
from balancebot.ports import ChannelError, ChannelErrorKind

_MAX_TEXT_BYTES: Final = 16_000
_TOO_OFTEN: Final = frozenset({130101, 130102, 90030, 410100})
_PENALTY: Final = timedelta(minutes=10)
_REFUSED: Final = frozenset({310000, 300001, 300005, 400013, 400101, 400102})
"""Signature, keyword or address refused; no such robot; it was switched off."""


class DingTalkChannel(PostingChannel):
    """One custom robot in one chat."""

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        content = content_of(outgoing, self._renderer)
        title = without_markdown(content.title)[:200]
        lines = without_markdown(cut_to_bytes(content.text, _MAX_TEXT_BYTES)).splitlines()
        text = f"#### {title}\n\n" + "\n\n".join(line.lstrip("#> ") for line in lines if line.strip())
        body: dict[str, object]
        if content.link:
            card = {
                "title": title,
                "text": text,
                "singleTitle": "balancebot ↗",
                "singleURL": content.link,
            }
            body = {"msgtype": "actionCard", "actionCard": card}
        else:
            body = {"msgtype": "markdown", "markdown": {"title": title, "text": text}}
        return Post(url=self._signed_url(now), body=as_json(body))

    def _signed_url(self, now: datetime) -> str:
        if not self._secret:
            return self._url
        timestamp = str(int(now.timestamp() * 1000))
        sign = quote_plus(signed(self._secret.encode(), f"{timestamp}\n{self._secret}".encode()))
        return f"{self._url}{'&' if '?' in self._url else '?'}timestamp={timestamp}&sign={sign}"

    def _service_error(self, document: Mapping[str, Any]) -> ChannelError | None:
        code, words = document.get("errcode"), document.get("errmsg")
        if code == 0:
            return None
        if code is None:
            return self._refusal(ChannelErrorKind.IN_DOUBT, "200", "and not in its own words")
        if code in _TOO_OFTEN:
            return self._refusal(ChannelErrorKind.RATE_LIMITED, code, words, wait=_PENALTY)
        if code == -1:
            return self._refusal(ChannelErrorKind.SERVER, code, words)
        kind = ChannelErrorKind.AUTH if code in _REFUSED else ChannelErrorKind.REJECTED
        return self._refusal(kind, code, words)
