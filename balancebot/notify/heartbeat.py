"""The dead man's switch: a GET request after every complete cycle, to a service that alerts when none arrives.

The URL is a secret, so no error contains it.
"""

from datetime import timedelta

from balancebot.config import Proxy, Secret
from balancebot.network import get
from balancebot.ports import ChannelError


class Heartbeat:
    """One URL that must be requested regularly."""

    def __init__(
        self, url: Secret, *, proxy: Proxy | None = None, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        self._url = url
        self._proxy = proxy
        self._timeout = timeout

    def beat(self) -> str:
        """Request the URL; return what is wrong, or '' if it was answered with success."""
        answer = get(self._url.reveal(), service="the heartbeat", proxy=self._proxy, within=self._timeout)
        if isinstance(answer, ChannelError):
            return str(answer.message)
        return "" if 200 <= answer.status < 300 else f"the heartbeat was answered with {answer.status}"
