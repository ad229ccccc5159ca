"""HTTP connections with one deadline for all of a request: dialling, the handshake, sending, and every byte of the answer.

The standard library's time-out is of each socket operation: a server that sends a byte a second holds a caller for hours.
"""

import io
import socket
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, Request

Left = Callable[[], float]
"""Tells the seconds that are left; raises TimeoutError when there are none."""


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


class _Hurried(HTTPConnection):
    """A connection for one exchange, whose time begins with it."""

    def __init__(self, host: str, /, *, timeout: float = 10.0, **options: Any) -> None:
        super().__init__(host, timeout=timeout, **options)
        self._left = left = _until(monotonic() + timeout)
        self._create_connection = partial(_dial, left)
        self.response_class = partial(_response, left)  # type: ignore[assignment]

    def connect(self) -> None:
        """Connect, through a proxy if there is one, and leave what is left of the time to sending."""
        super().connect()
        self.sock.settimeout(self._left())


class _Connection(_Hurried):
    """In the clear."""


class _SecureConnection(_Hurried, HTTPSConnection):
    """Over TLS."""


def _until(deadline: float) -> Left:
    def left() -> float:
        seconds = deadline - monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    return left


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
    response.fp = io.BufferedReader(_Answer(sock, response.fp, left))
    return response


class _Answer(io.RawIOBase):
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
