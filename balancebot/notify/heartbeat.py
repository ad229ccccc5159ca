"""The dead man's switch: a GET after every complete cycle, to a watcher that speaks up when none comes.

The address itself is a secret, so no fault ever names it.
"""

from datetime import timedelta
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request

from balancebot.config import Proxy, Secret
from balancebot.notify.http import opener


class Heartbeat:
    """One address that wants to be asked regularly."""

    def __init__(
        self, url: Secret, *, proxy: Proxy | None = None, timeout: timedelta = timedelta(seconds=10)
    ) -> None:
        self._url = url
        self._opener = opener(proxy)
        self._timeout = timeout.total_seconds()

    def beat(self) -> str:
        """Give a sign of life; return what is wrong in words, '' when it was taken."""
        try:
            request = Request(self._url.reveal(), headers={"User-Agent": "balancebot"})  # noqa: S310 -- settings take http(s)
            with self._opener.open(request, timeout=self._timeout):
                return ""
        except HTTPError as error:
            return f"the heartbeat was answered with {error.code}"
        except URLError as error:
            return f"the heartbeat can't be sent: {error.reason}"
        except (OSError, HTTPException, ValueError) as error:
            return f"the heartbeat got no answer: {type(error).__name__}"
