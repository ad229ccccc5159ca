"""A hostile server can only cost its own wallet a reading: no secret, no memory, no other wallet."""

import base64
import gzip
import json
import socket
import ssl
import threading
import zlib
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from hypothesis import example, given
from hypothesis import strategies as st

from balancebot.clock import SystemClock
from balancebot.domain.balance import Readings, Snapshot, WalletName
from balancebot.jsms.answer import (
    MAX_READING,
    MAX_RETRY_AFTER,
    AnswerFault,
    EndpointKind,
    ParsedBalances,
    Reply,
    parse_answer,
    retry_after,
)
from balancebot.jsms.source import Retrying
from balancebot.ports import SourceErrorKind
from balancebot.redact import Redactor
from tests.jsms.test_jsms import BUDGET, SHOP, answering, endpoint, listening, read_from, source_of

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
KEY, SECRET = "7e503edcb0cb725e331b0311", "9f8e7d6c5b4a392817261504"
PAIR = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
GOOD = b'{"app_balance": 1, "app_voice": 22, "app_industry": 44, "app_market": 14}'

numbers = st.integers() | st.floats() | st.booleans() | st.none()
values = st.recursive(
    numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
answers = st.dictionaries(
    st.sampled_from([*EndpointKind.APP.fields, *EndpointKind.ACCOUNT.fields, "error", "code"]), values
)
bodies = (
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
    | answers.map(lambda answer: json.dumps(answer).encode())
    | st.builds(
        lambda depth, char: char * depth, st.integers(0, 60_000), st.sampled_from([b"[", b'{"a":', b"9"])
    )
)
header_values = (
    st.text(max_size=60) | st.integers().map(str) | st.datetimes().map(lambda at: at.strftime("%c"))
)


@given(
    status=st.integers(100, 599),
    body=bodies,
    kind=st.sampled_from(EndpointKind),
    headers=st.fixed_dictionaries(
        {}, optional={"retry-after": header_values, "date": header_values, "location": header_values}
    ),
)
def test_any_answer_gives_readings_or_a_fault(status, body, kind, headers):
    found = parse_answer(Reply(status=status, headers=headers, body=body), kind, now=NOW)
    if isinstance(found, ParsedBalances):
        assert status in {200, 403}
        assert all(not isinstance(reading, int) or 0 <= reading <= MAX_READING for reading in found.readings)
    else:
        assert found.retry_after is None or timedelta() <= found.retry_after <= MAX_RETRY_AFTER
        assert len(str(found.message)) + len(found.quote) < 1_000
        assert str(found.message).isprintable()


@given(header_values, header_values)
@example("9" * 400, "")
@example("1795000000000", "Fri, 31 Dec 9999 23:59:59 GMT")
@example("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359")
def test_any_retry_after_is_a_wait_of_a_quarter_of_an_hour_at_most(value, date):
    found = retry_after({"retry-after": value, "date": date}, now=NOW)
    assert found is None or timedelta() <= found <= MAX_RETRY_AFTER


def spellings():
    yield "pair", PAIR
    yield "header", f"Authorization: Basic {PAIR}"
    yield "secret", SECRET
    yield "far behind", "x" * 190 + SECRET
    yield "cut", "x" * 180 + SECRET[:16]
    yield "wrapped", "\n".join(PAIR[place : place + 16] for place in range(0, len(PAIR), 16))
    yield "zero-width", "\u200b".join(SECRET)
    yield "hexadecimal", SECRET.encode().hex()
    yield "percent", "".join(f"%{byte:02x}" for byte in SECRET.encode())
    yield "upper case", SECRET.upper()


def places(words):
    yield 401, json.dumps({"error": {"code": 50002, "message": words}}).encode(), {}
    yield (
        200,
        json.dumps({"app_balance": words, "app_voice": 1, "app_industry": 1, "app_market": 1}).encode(),
        {},
    )
    nested = {"app_balance": [{"words": words}], "app_voice": 1, "app_industry": 1, "app_market": 1}
    yield 200, json.dumps(nested).encode(), {}
    yield 200, json.dumps({"error": {"code": 1, "message": words}}).encode(), {}
    yield 302, b"", {"location": f"https://elsewhere.example/{words}"}
    yield 302, b"", {"location": f"https://elsewhere.example/{'x' * 190}/{words}"}


@pytest.mark.parametrize(("name", "words"), [pytest.param(*case, id=case[0]) for case in spellings()])
def test_an_authorization_header_repeated_by_a_server_is_not_shown(name, words):
    for status, body, headers in places(words):
        reply = Reply(status=status, headers=headers, body=body)
        found = parse_answer(reply, EndpointKind.APP, now=NOW, redact=Redactor([KEY, SECRET]))
        assert isinstance(found, AnswerFault)
        shown = "".join((str(found.message) + found.quote).split()).lower()
        for hidden in (PAIR, SECRET, SECRET.encode().hex()):
            for start in range(len(hidden) - 9):
                assert hidden[start : start + 10].lower() not in shown, (name, status)


@pytest.mark.parametrize(
    ("key", "secret", "oddity"),
    [
        ("key-0123456789", '"secret-0123456789"', "the secret is in quotes"),
        ("“key-0123456789”", "secret-0123456789", "the key is in quotes"),
        ("key-0123456789 ", "secret-0123456789", "the key begins or ends with a space"),
        ("key-0123456789", "secret 0123456789", "the secret contains a space"),
        ("key-0123456789", "sécret-0123456789", "the secret contains characters that aren't ASCII"),
    ],
)
def test_rejected_credentials_name_what_looks_wrong_without_showing_the_credentials(key, secret, oddity):
    body = b'{"error": {"code": 50002, "message": "auth failed"}}'
    with answering(b"HTTP/1.1 401 no\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as url:
        found = read_from(endpoint(url, key=key, secret=secret))
    assert (oddity in str(found.message), "0123456789" in str(found.message)) == (True, False)


def test_a_plausible_key_pair_is_not_called_wrong():
    body = b'{"error": {"code": 50002, "message": "auth failed"}}'
    with answering(b"HTTP/1.1 401 no\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as url:
        assert "; the " not in str(read_from(endpoint(url)).message)


def packed(encoding, body):
    return (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
        + body
    )


BOMB = b" " * 10_000_000


@pytest.mark.parametrize(
    "answer",
    [
        packed(b"gzip", gzip.compress(BOMB)),
        packed(b"x-gzip", gzip.compress(BOMB)),
        packed(b"deflate", zlib.compress(BOMB)),
        packed(b"gzip, gzip", gzip.compress(gzip.compress(BOMB))),
        packed(b"br", b"\x00" * 64),
        packed(b"zstd", b"\x28\xb5\x2f\xfd" + b"\x00" * 64),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 80\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + GOOD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 70_000 + b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n" + GOOD,
        b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\n\r\n" + GOOD,
        b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
    ],
    ids=lambda answer: str(answer[:64]),
)
def test_compression_bombs_and_wrong_lengths_are_faults_of_the_wallet(answer):
    with answering(answer) as url:
        assert read_from(endpoint(url)).kind in {
            SourceErrorKind.SCHEMA,
            SourceErrorKind.NETWORK,
            SourceErrorKind.TIMEOUT,
        }


def test_an_endless_answer_is_cut_off_at_the_limit():
    def answer(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")

    with listening(answer) as url:
        assert SourceErrorKind.SCHEMA is read_from(endpoint(url)).kind


@pytest.mark.parametrize("late", [0.0, 0.003, 0.02])
def test_an_unrequested_answer_is_never_used_for_another_wallet(late):
    def answer(connection):
        with connection.makefile("rb") as lines:
            while lines.readline():
                while (line := lines.readline()).strip():
                    if line.lower().startswith(b"authorization:"):
                        number = int(base64.b64decode(line.split()[2]).split(b":")[0].split(b"-")[1])
                body = b'{"app_balance":%d,"app_voice":null,"app_industry":null,"app_market":null}' % number
                for wait in (0.0, late):  # each answer is sent twice
                    threading.Event().wait(wait)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    wallets = [WalletName(f"acme/{number}") for number in range(40)]
    with listening(answer, reads=False) as url:
        endpoints = {name: endpoint(url, key=f"key-{name[5:]:>09}") for name in wallets}
        with source_of(endpoints, concurrency=8, timeout=timedelta(seconds=5)) as source:
            for _ in range(2):
                read = {
                    found.wallet: found.readings.universal for found in source.fetch(wallets, budget=BUDGET)
                }
                assert {name: int(name[5:]) for name in wallets} == read


@pytest.mark.parametrize(
    ("name", "dates", "advice"),
    [
        ("127.0.0.1", (-20, -10), "has expired"),
        ("127.0.0.1", (10, 20), "is this machine's clock right?"),
        ("elsewhere.example", (-10, 10), "is base_url right?"),
    ],
)
def test_an_invalid_certificate_is_reported_with_advice(tmp_path, name, dates, advice):
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    first, last = (SystemClock().now() + timedelta(days=days) for days in dates)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=first, not_after=last).configure_cert(context)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        context.wrap_socket(server, server_side=True) as tls,
    ):
        threading.Thread(target=_accept_once, args=(tls,), daemon=True).start()
        where = endpoint(
            f"https://127.0.0.1:{server.getsockname()[1] if server.fileno() >= 0 else tls.getsockname()[1]}"
        )
        with source_of({SHOP: where}, ca_bundle=bundle, retrying=Retrying(attempts=1)) as source:
            (found,) = source.fetch([SHOP], budget=BUDGET)
    assert (SourceErrorKind.TLS, True) == (found.kind, found.permanent)
    assert advice in str(found.message)


def test_a_server_without_tls_is_a_permanent_fault():
    with answering(b"HTTP/1.1 400 no\r\nContent-Length: 0\r\n\r\n") as url:
        found = read_from(endpoint(url.replace("http://", "https://")))
    assert (SourceErrorKind.TLS, True) == (found.kind, found.permanent)


def _accept_once(server):
    try:
        server.accept()
    except OSError:
        return


def test_a_number_above_the_largest_balance_is_a_fault_of_its_wallet_only():
    body = GOOD.replace(b"14", b"9223372036854775807")
    found = parse_answer(Reply(status=200, headers={}, body=body), EndpointKind.APP, now=NOW)
    assert (SourceErrorKind.SCHEMA, "200 with app_market = 9223372036854775807, which is not a balance") == (
        found.kind,
        str(found.message),
    )


def test_the_valid_answer_of_these_tests_is_read():
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD)) as url:
        found = read_from(endpoint(url))
    assert isinstance(found, Snapshot)
    assert Readings(1, 22, 44, 14) == found.readings
