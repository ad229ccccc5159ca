"""HTTP connections with one deadline for a whole request: dialling, the handshake, sending, every byte of the answer."""

import io
import socket
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, Request

from balancebot.channels.deadline import Answer, Left, within


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
