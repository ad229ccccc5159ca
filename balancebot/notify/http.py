"""HTTP to Slack: the proxy, one deadline for a whole request, no redirects, and what a broken connection means."""

import http.client
import io
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Any
from urllib.error import URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from balancebot.config import Proxy
from balancebot.ports import ChannelError, ChannelErrorKind

Left = Callable[[], float]
"""Tells the seconds that are left; raises TimeoutError when there are none."""


def within(seconds: float, *, each: float | None = None) -> Left:
    """Begin to count: `seconds` in all, and no more than `each` for a single wait."""
    deadline = monotonic() + seconds

    def left() -> float:
        remaining = deadline - monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        return remaining if each is None else min(each, remaining)

    return left


class Answer(io.RawIOBase):
    """What comes over a socket, for as long as there is time."""

    def __init__(self, sock: socket.socket, source: Any, left: Left) -> None:
        super().__init__()
        self._sock, self._source, self._left = sock, source, left

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Wait for some bytes, no longer than until the deadline."""
        self._sock.settimeout(self._left())
        count: int | None = self._source.readinto1(buffer)
        return count

    def close(self) -> None:
        """Give the socket back."""
        if not self.closed:
            self._source.close()
        super().close()


class DeadlineHTTPHandler(HTTPHandler):
    """Opens `http://`; the request's time-out is of the whole exchange."""

    def http_open(self, req: Request) -> Any:
        """Send a request."""
        return self.do_open(_Connection, req)


class DeadlineHTTPSHandler(HTTPSHandler):
    """Opens `https://`; the request's time-out is of the whole exchange."""

    def https_open(self, req: Request) -> Any:
        """Send a request."""
        return self.do_open(_SecureConnection, req, context=self._context)  # type: ignore[attr-defined] # the stubs hide it


class _Connection(HTTPConnection):
    """A connection for one exchange, whose time begins with it."""

    def __init__(self, host: str, /, *, timeout: float = 10.0, **options: Any) -> None:
        super().__init__(host, timeout=timeout, **options)
        self._left = left = within(timeout)
        self._create_connection = partial(_dial, left)
        self.response_class = partial(_response, left)  # type: ignore[assignment]

    def connect(self) -> None:
        """Connect, through a proxy if there is one, and leave what is left of the time to sending."""
        super().connect()
        self.sock.settimeout(self._left())


class _SecureConnection(_Connection, HTTPSConnection):
    """Likewise, over TLS."""


def _dial(
    left: Left, address: tuple[str, int], timeout: object, source: tuple[str, int] | None
) -> socket.socket:
    """Try one address of a host after the other, as long as there is time."""
    del timeout
    fault: OSError = OSError(f"{address[0]} has no address")
    for *_, found in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        try:
            dialled = socket.create_connection((str(found[0]), int(found[1])), left(), source)
        except OSError as error:
            fault = error
        else:
            dialled.settimeout(left())  # of the handshake, which counts it as a whole
            return dialled
    raise fault


def _response(left: Left, sock: socket.socket, *args: Any, **options: Any) -> HTTPResponse:
    response = HTTPResponse(sock, *args, **options)
    response.fp = io.BufferedReader(Answer(sock, response.fp, left))
    return response


TIMEOUT = timedelta(seconds=7)
"""Of a write to Slack: it ends before the claim under which it began could have run out (8 s)."""
TRANSPORT_FAULTS = (OSError, http.client.HTTPException)
"""All that a connection can do to us; `URLError` and `ssl.SSLError` are OSErrors."""


def opener(proxy: Proxy | None) -> OpenerDirector:
    """Return an opener through `proxy`; None leaves it to HTTPS_PROXY and NO_PROXY."""
    director = OpenerDirector()
    for handler in (
        _proxy_handler(proxy),
        DeadlineHTTPHandler(),
        DeadlineHTTPSHandler(context=ssl.create_default_context()),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


def _proxy_handler(proxy: Proxy | None) -> ProxyHandler:
    if proxy is None:
        return ProxyHandler()
    if proxy.url is None:
        return ProxyHandler({})
    url = proxy.url.reveal()
    return ProxyHandler({"http": url, "https": url})


def transport_error(fault: Exception, *, host: str) -> ChannelError:
    """Say whether a request may have taken effect, from how its connection broke.

    urllib wraps what fails up to the end of sending in a `URLError`; anything else came while waiting for the answer.
    """
    reason = fault.reason if isinstance(fault, URLError) else fault
    if isinstance(fault, URLError) and _nothing_was_sent(reason):
        return ChannelError(
            kind=ChannelErrorKind.UNREACHABLE, message=f"{host} can't be reached: {_say(reason)}"
        )
    return ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=f"{host} gave no answer: {_say(reason)}")


def _nothing_was_sent(reason: object) -> bool:
    # A broken pipe or a reset can come in the middle of the request's last bytes.
    return not isinstance(reason, BrokenPipeError | ConnectionResetError | ConnectionAbortedError)


def _say(reason: object) -> str:
    match reason:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({reason.verify_message})"
        case socket.gaierror():
            return "no such host"
        case TimeoutError():
            return "timed out"
        case OSError(strerror=str(words)):
            return words.lower()
        case _:
            return type(reason).__name__
