"""Requests that are refused before they reach a page: foreign hosts and origins, large bodies, unknown encodings."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from balancebot.config import WebConfig
from balancebot.domain.user import Role
from balancebot.thresholds.changes import edit_token
from tests.patience import PATIENCE
from tests.web.conftest import Desk, csrf_token

_UNPARSED = ["http://[", "//[", "http://[::1", "http://a:b:c", "http://h:99999", "http://\u2100.example/"]
_UPLOAD = "/thresholds/sheet"


def _raw(desk: Desk, sent: bytes) -> bytes:
    """Send bytes unchanged, and return everything received until the connection ends."""
    host, port = desk.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def _chunks(count: int, size: int = 65536) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize("address", _UNPARSED)
def test_an_unparsable_address_gets_no_5xx(desk: Desk, address: str) -> None:
    with desk.user(Role.FINANCE) as browser:
        origin = browser.post("/logout", headers=[(b"Origin", address.encode())])
        form = browser.get(f"/login?next={quote(address)}")
        row = {"csrf_token": csrf_token(browser), "wallet": "*", "category": "*", "warning_below": "5"}
        row["seen"] = edit_token(None)
        saved = browser.post(
            "/thresholds/save",
            data=row,
            headers=[(b"HX-Request", b"true"), (b"HX-Current-URL", address.encode())],
        )
    with desk.visitor() as visitor:
        entered = visitor.post("/login", data={"name": "a", "password": "b", "next": address})
    assert (403, 200, 200, 401) == tuple(answer.status_code for answer in (origin, form, saved, entered))
    assert 'name="next" value="/"' in form.text
    assert "content-security-policy" in origin.headers


@pytest.mark.parametrize("codec", ["undefined", "punycode", "idna", "unicode_escape", "utf-7", "latin-1"])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded"])
def test_a_form_must_be_encoded_in_utf_8(desk: Desk, codec: str, kind: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\\\r\n--b--\r\n'
    with desk.user(Role.FINANCE) as browser:
        answers = [
            browser.post(path, content=body, headers={"Content-Type": f"{kind}; charset={codec}"})
            for path in ("/login", "/me/password", _UPLOAD)
        ]
    assert [415, 415, 415] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=b"])
def test_only_the_sheet_accepts_files_and_pages_accept_only_forms(desk: Desk, kind: str) -> None:
    with desk.user(Role.VIEWER) as browser:
        answer = browser.post("/me/password", content=b"{}", headers={"Content-Type": kind})
    assert 415 == answer.status_code


@pytest.mark.parametrize(
    ("path", "num_chunks"), [("/login", 1), ("/me/password", 2), ("/logout", 2), (_UPLOAD, 129)]
)
def test_the_size_of_a_body_is_checked_while_it_is_received(desk: Desk, path: str, num_chunks: int) -> None:
    kind = "multipart/form-data; boundary=b" if path == _UPLOAD else "application/x-www-form-urlencoded"
    with desk.user(Role.FINANCE) as browser:
        begin = (
            f'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{csrf_token(browser)}\r\n'
            '--b\r\nContent-Disposition: form-data; name="sheet"; filename="a"\r\n\r\n'
        ).encode()

        def body() -> Iterator[bytes]:
            yield begin if path == _UPLOAD else b"name="
            yield from _chunks(num_chunks)

        answer = browser.post(path, content=body(), headers={"Content-Type": kind})
        assert (413, "close") == (answer.status_code, answer.headers["connection"])
    claimed = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2**40}\r\n\r\n"
    assert b"413" in _raw(desk, claimed.encode())


def test_a_request_with_a_length_and_chunks_is_refused_and_its_connection_ends(desk: Desk) -> None:
    answer = _raw(
        desk,
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nname\r\n0\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answer.lower()


def test_a_file_of_a_form_without_its_token_is_not_read(desk: Desk) -> None:
    form = (
        '--b\r\nContent-Disposition: form-data; name="sheet"; filename="a"\r\n\r\n'
        + "x" * 5000
        + '\r\n--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n--b--\r\n'
    )
    with desk.user(Role.FINANCE) as browser:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        late = form.replace("{token}", csrf_token(browser))
        assert 403 == browser.post(_UPLOAD, content=late.encode(), headers=headers).status_code
        files = {"sheet": ("a.csv", b"wallet,category,warning_below\nacme,*,5\n")}
        right = browser.post(_UPLOAD, data={"csrf_token": csrf_token(browser)}, files=files)
        assert 422 == right.status_code  # the wallet is unknown: the file was read
        assert 403 == browser.post(_UPLOAD, data={"csrf_token": "0" * 64}, files=files).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:8080", 200),
        ("localhost:8080", 200),
        ("balancebot", 200),
        ("balances.example.com", 200),
        ("BALANCES.example.com.:443", 200),
        ("bot.monitoring.svc:8080", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("balances.example.com.evil.example", 421),
        ("[", 421),
        ("", 421),
        ("a@b.c", 421),
    ],
)
def test_only_names_of_this_server_are_answered(
    open_desk: Callable[..., Desk], host: str, status: int
) -> None:
    desk = open_desk(web=WebConfig(public_url="https://balances.example.com", hosts=("bot.monitoring.svc",)))
    with desk.visitor() as visitor:
        for path in ("/metrics", "/login"):
            assert status == visitor.get(path, headers={"Host": host}).status_code
        assert 200 == visitor.get("/healthz", headers={"Host": host or "x"}).status_code
    assert re.match(b"HTTP/1.. 200", _raw(desk, b"GET /healthz HTTP/1.0\r\n\r\n"))


def test_a_connection_closed_within_a_form_logs_no_error(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = desk.address.removeprefix("http://").split(":")
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname="
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(head)
            time.sleep(0.05)  # so that the page waits for the rest
    for _ in range(5):
        assert b"200 OK" in _raw(
            desk, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
    assert [] == [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
