"""Clients with many or slow connections don't block others."""

import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from balancebot.web import server as module
from balancebot.web.server import Connections, Occasionally, WebServer, serve
from tests.patience import PATIENCE


def _hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture
def running() -> Iterator[WebServer]:
    server = serve(Starlette(routes=[Route("/", _hello)]), host="127.0.0.1", port=0)
    yield server
    server.stop()


@pytest.fixture
def connect(running: WebServer) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def _is_answered(running: WebServer) -> bool:
    with httpx.Client(
        base_url=f"http://127.0.0.1:{running.port}", trust_env=False, timeout=PATIENCE
    ) as visitor:
        return visitor.get("/").text == "hello"


def test_hundreds_of_idle_connections_block_no_other_client(
    running: WebServer, connect: Callable[[], socket.socket]
) -> None:
    idle = [connect() for _ in range(300)]
    assert _is_answered(running)
    # the first connections were closed
    assert b"" == _end_of(idle[0])


def _end_of(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["nothing", "half a head", "half a body"],
)
def test_an_incomplete_request_times_out(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(module, "_HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(module, "_BODY_TIMEOUT", 0.2)
    server = serve(Starlette(routes=[Route("/", _reads, methods=["GET", "POST"])]), host="127.0.0.1", port=0)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(sent)
            assert b"" == _end_of(connection)
    finally:
        server.stop()


async def _reads(request: Request) -> PlainTextResponse:
    await request.body()
    return PlainTextResponse("hello")


class _Opened:
    """A connection as `Connections` uses it."""

    def __init__(self, address: str, *, is_idle: bool = True) -> None:
        self.address = address
        self.is_idle = is_idle
        self.transport = self
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def _aborted(limit: int, per_address: int, opened: list[_Opened]) -> list[int]:
    connections = Connections(limit, per_address=per_address)
    for connection in opened:
        connections.add(connection)  # type: ignore[arg-type]
    return [number for number, connection in enumerate(opened) if connection.is_aborted]


def test_idle_connections_are_closed_before_active_ones() -> None:
    assert [1] == _aborted(2, 9, [_Opened("a", is_idle=False), _Opened("b"), _Opened("c")])


def test_a_connection_of_an_address_at_its_limit_replaces_one_of_the_same_address() -> None:
    assert [1] == _aborted(9, 2, [_Opened("a"), _Opened("b"), _Opened("b"), _Opened("b")])


def test_the_new_connection_is_closed_if_all_others_are_active() -> None:
    busy = [_Opened("a", is_idle=False) for _ in range(2)]
    assert [2] == _aborted(2, 9, [*busy, _Opened("b")])


def test_a_frequent_event_is_logged_once_a_minute_with_its_count() -> None:
    now = [0.0]
    often = Occasionally(lambda: now[0])
    counts = [often.due() for _ in range(5)]
    now[0] = 61.0
    assert [1, 0, 0, 0, 0, 5] == [*counts, often.due()]


def test_invalid_http_requests_are_logged_once_a_minute(
    running: WebServer, connect: Callable[[], socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        line = connect()
        line.sendall(b"\x16\x03\x01\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert _is_answered(running)
    assert ["web.invalid_request"] == [record.getMessage() for record in caplog.records]
