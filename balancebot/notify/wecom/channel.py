"""WeCom by a group robot: Markdown of at most 4,096 bytes for each message.

The service's own rules: the key in the address is all the secret there is; 20 messages a minute; errors come with status
200 and an `errcode`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from balancebot.domain.message import OutgoingMessage
from balancebot.domain.verdict import Severity
from balancebot.notify.posting import (
    Post,
    PostingChannel,
    as_json,
    content_of,
    cut_to_bytes,
    without_markdown,
)
from balancebot.ports import ChannelError, ChannelErrorKind

_MAX_BYTES: Final = 4096
_COLORS: Final = {Severity.WARNING: "warning", Severity.CRITICAL: "warning", Severity.DEPLETED: "warning"}
_TOO_OFTEN: Final = frozenset({45009, 45033})
_REFUSED: Final = frozenset({93000, 93004, 93008, 93017, 40014})
"""No such robot, or it was removed from its group."""


class WeComChannel(PostingChannel):
    """One group robot in one chat."""

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        del now
        content = content_of(outgoing, self._renderer)
        color = (
            "info" if content.is_over or content.severity is None else _COLORS.get(content.severity, "info")
        )
        title = without_markdown(cut_to_bytes(content.title, 400))
        head = f'**<font color="{color}">{title}</font>**\n'
        link = f"\n[balancebot ↗]({content.link})" if content.link else ""
        room = _MAX_BYTES - len((head + link).encode())
        text = cut_to_bytes(without_markdown(content.text), room)
        body = {"msgtype": "markdown", "markdown": {"content": head + text + link}}
        return Post(url=self._url, body=as_json(body))

    def _service_error(self, document: Mapping[str, Any]) -> ChannelError | None:
        code, words = document.get("errcode"), document.get("errmsg")
        if code == 0:
            return None
        if code is None:
            return self._refusal(ChannelErrorKind.IN_DOUBT, "200", "and not in its own words")
        if code in _TOO_OFTEN:
            return self._refusal(ChannelErrorKind.RATE_LIMITED, code, words, wait=timedelta(minutes=1))
        if code == -1:
            return self._refusal(ChannelErrorKind.SERVER, code, words)
        kind = ChannelErrorKind.AUTH if code in _REFUSED else ChannelErrorKind.REJECTED
        return self._refusal(kind, code, words)
