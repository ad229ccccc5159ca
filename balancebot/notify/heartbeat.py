"""The dead man's switch: a GET after every complete cycle, to a watcher that speaks up when none comes.

The address itself is a secret, so no fault ever names it.
"""

from datetime import timedelta

from balancebot.config import Proxy, Secret
from balancebot.network import get
from balancebot.ports import ChannelError


class Heartbeat:
    """One address that wants to be asked regularly."""

    def __init__(
        self, url: Secret, *, proxy: Proxy | None = None, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        self._url = url
        self._proxy = proxy
        self._timeout = timeout

    def beat(self) -> str:
        """Get the address; return what is wrong in words, '' when the answer is a good one."""
        answer = get(self._url.reveal(), service="the heartbeat", proxy=self._proxy, within=self._timeout)
        if isinstance(answer, ChannelError):
            return str(answer.message)
        return "" if 200 <= answer.status < 300 else f"the heartbeat was answered with {answer.status}"
