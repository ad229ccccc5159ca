"""Whoever opens many connections, or sends slowly, keeps nobody else from the pages."""

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


def test_hundreds_of_idle_connections_keep_nobody_from_the_pages(
    running: WebServer, connect: Callable[[], socket.socket]
) -> None:
    idle = [connect() for _ in range(300)]
    assert _is_answered(running)
    # the first ones had to go, and read the end of their connection
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
def test_a_request_that_does_not_come_to_its_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
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
    """A connection as `Connections` sees it."""

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


def test_one_that_waits_goes_before_one_that_is_answered() -> None:
    assert [1] == _aborted(2, 9, [_Opened("a", is_idle=False), _Opened("b"), _Opened("c")])


def test_one_address_makes_room_among_its_own_connections() -> None:
    assert [1] == _aborted(9, 2, [_Opened("a"), _Opened("b"), _Opened("b"), _Opened("b")])


def test_the_new_one_goes_where_all_others_are_answered() -> None:
    busy = [_Opened("a", is_idle=False) for _ in range(2)]
    assert [2] == _aborted(2, 9, [*busy, _Opened("b")])


def test_what_happens_often_is_logged_once_a_minute_with_its_number() -> None:
    now = [0.0]
    often = Occasionally(lambda: now[0])
    seen = [often.due() for _ in range(5)]
    now[0] = 61.0
    assert [1, 0, 0, 0, 0, 5] == [*seen, often.due()]


def test_requests_that_are_no_http_are_logged_once_a_minute(
    running: WebServer, connect: Callable[[], socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        line = connect()
        line.sendall(b"\x16\x03\x01\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert _is_answered(running)
    assert ["web.invalid_request"] == [record.getMessage() for record in caplog.records]
