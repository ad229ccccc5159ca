"""Wallets are read over real HTTP: each yields one result in time, whatever the server does."""

import logging
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from balancebot.clock import SystemClock
from balancebot.config import Proxy, Secret
from balancebot.domain.balance import UNALLOCATED_EVERYWHERE, Absent, Readings, Snapshot, WalletName
from balancebot.jsms.answer import EndpointKind
from balancebot.jsms.endpoint import Endpoint
from balancebot.jsms.simulator import FaultKind, Scenario, SimulatedFault, Simulator, crowd, simulated_wallet
from balancebot.jsms.source import JsmsSource, Retrying
from balancebot.ports import SourceErrorKind
from tests.outbox_bench import HandClock
from tests.patience import PATIENCE

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ACME, SHOP, PILOT = (WalletName(name) for name in ("acme", "acme/shop", "acme/pilot"))
SCENARIO = Scenario(
    wallets=(
        simulated_wallet("acme", universal=9, voice=702, industry=121981, market=11683),
        simulated_wallet("acme", "shop", universal=1, voice=22, industry=44),
        simulated_wallet("acme", "pilot"),
    )
)
BUDGET = timedelta(seconds=5)
DIRECT = Proxy(url=None)
SOON = Retrying(first_wait=timedelta(milliseconds=10), rate_limited_wait=timedelta(milliseconds=10))


@pytest.fixture
def sim():
    with Simulator(SCENARIO, clock=HandClock(NOW)) as simulator:
        yield simulator


def through(proxy):
    return Proxy(url=Secret(proxy))


def source_of(endpoints, **rest):
    settings = {"timeout": timedelta(seconds=0.3), "retrying": SOON, "proxy": DIRECT, **rest}
    return closing(JsmsSource(endpoints, clock=HandClock(NOW), **settings))


def read(sim, *wallets, budget=BUDGET, **rest):
    with source_of(sim.endpoints(), **rest) as source:
        return {result.wallet: result for result in source.fetch(wallets, budget=budget)}


def read_one(sim, wallet=SHOP, **rest):
    return read(sim, wallet, **rest)[wallet]


def test_accounts_and_apps_become_snapshots(sim):
    expected = {
        ACME: Snapshot(wallet=ACME, observed_at=NOW, readings=Readings(9, 702, 121981, 11683)),
        SHOP: Snapshot(wallet=SHOP, observed_at=NOW, readings=Readings(1, 22, 44, Absent.UNALLOCATED)),
        PILOT: Snapshot(wallet=PILOT, observed_at=NOW, readings=UNALLOCATED_EVERYWHERE),
    }
    assert expected == read(sim, ACME, SHOP, PILOT)


def test_a_wallet_named_twice_is_read_once(sim):
    with source_of(sim.endpoints()) as source:
        assert [SHOP] == [result.wallet for result in source.fetch([SHOP, SHOP], budget=BUDGET)]
    assert 1 == len(sim.requests)


def test_unknown_fields_are_kept_for_the_log(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.UNKNOWN_FIELD))
    assert {"app_market_special": 42} == dict(read_one(sim).unknown_fields)


@pytest.mark.parametrize(
    ("kind", "error", "num_requests"),
    [
        (FaultKind.REJECTED, SourceErrorKind.CREDENTIALS, 1),
        (FaultKind.NOT_OPENED, SourceErrorKind.PERMISSION, 1),
        (FaultKind.ILLEGAL_IP, SourceErrorKind.PERMISSION, 1),
        (FaultKind.BLACKLISTED, SourceErrorKind.PERMISSION, 1),
        (FaultKind.OUT_OF_FREQ, SourceErrorKind.RATE_LIMITED, 3),
        (FaultKind.RATE_LIMITED, SourceErrorKind.RATE_LIMITED, 3),
        (FaultKind.SERVER_ERROR, SourceErrorKind.SERVER, 3),
        (FaultKind.OUTAGE, SourceErrorKind.SERVER, 3),
        (FaultKind.REFUSED, SourceErrorKind.NETWORK, None),
        (FaultKind.TRUNCATED, SourceErrorKind.NETWORK, 3),
        (FaultKind.HTML, SourceErrorKind.SCHEMA, 1),
        (FaultKind.EMPTY, SourceErrorKind.SCHEMA, 1),
        (FaultKind.HUGE, SourceErrorKind.SCHEMA, 1),
        (FaultKind.MISSING_FIELD, SourceErrorKind.SCHEMA, 1),
        (FaultKind.REDIRECT, SourceErrorKind.CONFIGURATION, 1),
    ],
)
def test_temporary_faults_are_retried_and_those_that_need_a_person_are_not(sim, kind, error, num_requests):
    sim.fail(SHOP, SimulatedFault(kind=kind))
    found = read_one(sim)
    assert (error, SHOP, NOW) == (found.kind, found.wallet, found.at)
    if num_requests is not None:
        assert num_requests == len(sim.requests)


@pytest.mark.parametrize("kind", [FaultKind.SERVER_ERROR, FaultKind.OUT_OF_FREQ, FaultKind.TRUNCATED])
def test_a_temporary_fault_costs_a_retry_and_no_reading(sim, kind):
    sim.fail(SHOP, SimulatedFault(kind=kind, times=2))
    assert Readings(1, 22, 44, Absent.UNALLOCATED) == read_one(sim).readings


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.TRICKLE, FaultKind.SLOW])
def test_no_server_stretches_the_deadline_of_a_request(sim, kind):
    sim.fail(
        SHOP, SimulatedFault(kind=kind, delay=timedelta(seconds=0.25 if kind is FaultKind.TRICKLE else 2))
    )
    before = time.monotonic()
    found = read_one(sim, timeout=timedelta(seconds=0.3), retrying=Retrying(attempts=1))
    assert (SourceErrorKind.TIMEOUT, True) == (found.kind, time.monotonic() - before < 10)
    assert f"acme/shop: {sim.url[7:]}: no complete answer within 0.3 s" == str(found.message)


@pytest.mark.slow
@pytest.mark.timing
def test_no_server_stretches_the_budget_of_a_call_and_every_wallet_yields(sim):
    sim.fail("acme/*", SimulatedFault(kind=FaultKind.SILENCE))
    before = time.monotonic()
    found = read(sim, ACME, SHOP, PILOT, budget=timedelta(seconds=0.3), timeout=timedelta(seconds=60))
    assert time.monotonic() - before < 10
    kinds = {wallet: getattr(result, "kind", None) for wallet, result in found.items()}
    assert {ACME: None, SHOP: SourceErrorKind.TIMEOUT, PILOT: SourceErrorKind.TIMEOUT} == kinds


@pytest.mark.slow
@pytest.mark.timing
def test_one_failing_wallet_delays_no_other(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.SILENCE))
    with source_of(sim.endpoints(), timeout=timedelta(seconds=60)) as source:
        results = source.fetch([SHOP, ACME], budget=timedelta(seconds=30))
        before = time.monotonic()
        assert (ACME, True) == (next(results).wallet, time.monotonic() - before < 10)
        results.close()


def test_a_host_that_does_not_answer_is_given_up_until_the_next_call():
    with Simulator(crowd(60), clock=HandClock(NOW)) as sim:
        sim.fail("*", SimulatedFault(kind=FaultKind.SILENCE))
        with source_of(sim.endpoints(), timeout=timedelta(seconds=0.5), concurrency=5) as source:
            results = list(source.fetch(sim.wallets, budget=BUDGET))
            assert (sorted(sim.wallets), True) == (sorted(r.wallet for r in results), len(sim.requests) < 40)
            assert {SourceErrorKind.TIMEOUT, SourceErrorKind.NETWORK} == {r.kind for r in results}
            sim.end_faults()
            again = source.fetch(sim.wallets, budget=timedelta(seconds=PATIENCE))
            assert {Snapshot} == {type(result) for result in again}


def test_a_host_is_not_given_up_while_some_wallets_get_answers():
    with Simulator(crowd(80), clock=HandClock(NOW)) as sim:
        for wallet in sim.wallets[::2]:
            sim.fail(wallet, SimulatedFault(kind=FaultKind.REFUSED))
        with source_of(sim.endpoints(), concurrency=2) as source:
            results = {
                result.wallet: type(result)
                for result in source.fetch(sim.wallets, budget=timedelta(seconds=PATIENCE))
            }
    assert {Snapshot} == {results[wallet] for wallet in sim.wallets[1::2]}


def test_a_retry_after_is_respected(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.OUTAGE, retry_after=timedelta(seconds=1), times=1))
    before = time.monotonic()
    assert isinstance(read_one(sim), Snapshot)
    assert time.monotonic() - before > 1


def test_a_retry_after_beyond_the_budget_ends_the_attempts_and_is_returned(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.RATE_LIMITED, retry_after=timedelta(minutes=10)))
    found = read_one(sim)
    assert (timedelta(minutes=10), 1) == (found.retry_after, len(sim.requests))


def test_messages_name_wallet_host_status_code_and_the_text_of_the_source(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.BLACKLISTED))
    host = sim.url.removeprefix("http://")
    expected = f"acme/shop: {host}: 403, code 50036: the app is in a blacklist (it said “app in blacklist”)"
    assert expected == str(read_one(sim).message)


def endpoint(url, key="key-0123456789", secret="secret-0123456789", kind=EndpointKind.APP):
    return Endpoint(base_url=url, kind=kind, key=Secret(key), secret=Secret(secret))


def test_a_key_repeated_by_the_source_is_redacted():
    words = "no user key-0123456789 with secret-0123456789 " + "x" * 170 + " key-0123456789"
    body = ('{"error": {"code": 50002, "message": "' + words + '"}}').encode()
    with answering(b"HTTP/1.1 401 no\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as url:
        found = read_from(endpoint(url))
    assert SourceErrorKind.CREDENTIALS is found.kind
    assert ("no user *** with *** xxx" in str(found.message), "key-" in str(found.message)) == (True, False)


def test_a_key_that_is_a_common_word_is_not_redacted_in_our_own_text():
    body = b'{"error": {"code": 50002, "message": "no key secret"}}'
    with answering(b"HTTP/1.1 401 no\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as url:
        found = read_from(endpoint(url, key="key", secret="secret"))
    assert "the two kinds of key pair are swapped (an account wants its devKey pair" in str(found.message)
    assert str(found.message).endswith("(it said “no *** ***”)")


def test_credentials_may_be_swapped_if_an_app_has_the_key_of_its_account(sim):
    pool = sim.endpoints()[ACME]
    copied = Endpoint(base_url=sim.url, kind=EndpointKind.APP, key=pool.key, secret=pool.secret)
    with source_of({ACME: pool, SHOP: copied}) as source:
        (found,) = source.fetch([SHOP], budget=BUDGET)
    assert "they look swapped: acme is configured with the same key" in str(found.message)


def test_credentials_may_be_swapped_if_both_kinds_of_an_account_are_rejected(sim):
    pool, shop = sim.endpoints()[ACME], sim.endpoints()[SHOP]
    swapped = {
        ACME: Endpoint(base_url=sim.url, kind=EndpointKind.ACCOUNT, key=shop.key, secret=shop.secret),
        SHOP: Endpoint(base_url=sim.url, kind=EndpointKind.APP, key=pool.key, secret=pool.secret),
    }
    with source_of(swapped) as source:
        first, second = source.fetch([ACME, SHOP], budget=BUDGET)
    words = "they look swapped: the account's pair and an app's are both rejected"
    assert [False, True] == [words in message for message in (str(first.message), str(second.message))]


def test_a_wallet_without_key_pair_is_a_configuration_fault(sim):
    found = read_one(sim, WalletName("acme/new"))
    assert (SourceErrorKind.CONFIGURATION, "acme/new: no key pair is configured for it") == (
        found.kind,
        str(found.message),
    )


def test_endpoints_can_be_replaced(sim):
    with source_of({}) as source:
        source.configure(sim.endpoints())
        (found,) = source.fetch([SHOP], budget=BUDGET)
    assert isinstance(found, Snapshot)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "x", "https://u:p@host", "http://[::1"])
def test_an_invalid_base_url_is_refused_immediately(url):
    with pytest.raises(ValueError, match="base_url"):
        source_of({SHOP: endpoint(url)})


def test_there_are_at_most_as_many_requests_as_workers():
    most = under_way = 0
    lock = threading.Lock()

    def answer(connection):
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        connection.sendall(b"HTTP/1.1 403 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with listening(answer) as url:
        wallets = {WalletName(f"acme/{n}"): endpoint(url, key=f"k{n}") for n in range(12)}
        with source_of(wallets, concurrency=3, timeout=timedelta(seconds=5)) as source:
            assert 12 == len(list(source.fetch(list(wallets), budget=BUDGET)))
    assert 3 == most


def test_requests_to_one_base_url_keep_the_configured_rate():
    with Simulator(crowd(25), clock=SystemClock()) as sim:
        before = time.monotonic()
        assert 20 == len(read(sim, *sim.wallets[:20], max_rate=50))
        assert time.monotonic() - before > 0.35
        instants = [request.at for request in sim.requests]
    assert (
        max(instants) - min(instants)
    ).total_seconds() > 0.3  # evenly spread, not a burst followed by a pause


def test_a_second_reading_does_not_wait_for_the_rest_of_the_cycle():
    with (
        Simulator(crowd(300), clock=HandClock(NOW)) as sim,
        source_of(sim.endpoints(), max_rate=300) as source,
    ):
        cycle = source.fetch(sim.wallets, budget=BUDGET)
        next(cycle)
        (second,) = source.fetch([sim.wallets[7]], budget=BUDGET)
        assert isinstance(second, Snapshot)
        assert len(sim.requests) < 150
        cycle.close()


def test_concurrent_calls_get_their_own_results():
    with Simulator(crowd(60), clock=HandClock(NOW)) as sim, source_of(sim.endpoints()) as source:
        found = {}

        def call(part):
            found[part] = [r.wallet for r in source.fetch(sim.wallets[part::3], budget=BUDGET)]

        threads = [threading.Thread(target=call, args=(part,)) for part in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {part: sorted(sim.wallets[part::3]) for part in range(3)} == {
            p: sorted(w) for p, w in found.items()
        }


def test_closing_the_iterator_early_abandons_running_requests():
    with (
        Simulator(crowd(200), clock=HandClock(NOW)) as sim,
        source_of(sim.endpoints(), max_rate=100) as source,
    ):
        results = source.fetch(sim.wallets, budget=BUDGET)
        next(results)
        results.close()
        time.sleep(0.05)
        asked = len(sim.requests)
        time.sleep(0.1)
        assert asked == len(sim.requests) < 50


@pytest.mark.slow
@pytest.mark.timing
def test_closing_the_source_ends_running_calls_and_refuses_new_ones(sim):
    sim.fail(SHOP, SimulatedFault(kind=FaultKind.SILENCE))
    source = JsmsSource(sim.endpoints(), clock=HandClock(NOW), timeout=timedelta(seconds=60), proxy=DIRECT)
    results = source.fetch([SHOP], budget=timedelta(seconds=60))
    before = time.monotonic()
    source.close()
    source.close()
    assert [SourceErrorKind.TIMEOUT] == [result.kind for result in results]
    assert time.monotonic() - before < 10
    with pytest.raises(RuntimeError, match="closed"):
        source.fetch([SHOP], budget=BUDGET)


def test_an_unused_source_can_be_closed():
    JsmsSource({}, clock=HandClock(NOW)).close()


def test_nothing_is_logged_of_a_request(sim, caplog):
    with caplog.at_level(logging.INFO):
        read(sim, ACME, SHOP)
    assert [] == caplog.messages


# ----- TLS, proxies and servers that don't speak HTTP


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_sim(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Simulator(SCENARIO, clock=HandClock(NOW), tls=context) as simulator:
        yield simulator


def test_a_private_authority_is_trusted_with_its_bundle(tls_sim, authority, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    assert Readings(1, 22, 44, Absent.UNALLOCATED) == read_one(tls_sim, ca_bundle=bundle).readings


def test_an_untrusted_certificate_is_a_tls_fault_and_no_key_is_sent(tls_sim):
    found = read_one(tls_sim)
    assert (SourceErrorKind.TLS, True) == (found.kind, "the certificate is not valid" in str(found.message))
    assert [] == list(tls_sim.requests)


def test_a_certificate_for_another_name_is_a_tls_fault(authority, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with Simulator(SCENARIO, clock=HandClock(NOW), tls=context) as sim:
        assert SourceErrorKind.TLS is read_one(sim, ca_bundle=bundle).kind


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_unusable_bundle_is_refused_immediately(tmp_path, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(ValueError, match="ca_bundle"):
        JsmsSource({}, clock=HandClock(NOW), ca_bundle=bundle)


def test_requests_go_through_the_proxy(sim):
    with proxying() as (proxy, asked):
        found = read_one(sim, proxy=through(proxy))
    assert (Readings(1, 22, 44, Absent.UNALLOCATED), [f"GET {sim.url}/v1/accounts/app"]) == (
        found.readings,
        asked,
    )


def test_https_goes_through_a_tunnel_of_the_proxy(tls_sim, authority, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    with proxying() as (proxy, asked):
        found = read_one(tls_sim, proxy=through(proxy), ca_bundle=bundle)
    assert (True, [f"CONNECT {tls_sim.url[8:]}"]) == (isinstance(found, Snapshot), asked)


@pytest.mark.parametrize(
    ("environment", "setting", "through"),
    [
        ({"HTTP_PROXY": "{proxy}"}, None, True),
        ({"http_proxy": "{proxy}", "NO_PROXY": "other.example"}, None, True),
        ({"ALL_PROXY": "{proxy}"}, None, True),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "127.0.0.1"}, None, False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, None, False),
        ({"HTTPS_PROXY": "{proxy}"}, None, False),
        ({"ALL_PROXY": "socks5://127.0.0.1:1080"}, None, False),
        ({"ALL_PROXY": "socks5h://127.0.0.1:1080", "HTTP_PROXY": "{proxy}"}, None, True),
        ({"HTTP_PROXY": "{proxy}"}, DIRECT, False),
        ({}, None, False),
    ],
)
def test_the_proxy_comes_from_the_environment_unless_configured(
    sim, monkeypatch, environment, setting, through
):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with proxying() as (proxy, asked):
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(proxy=proxy))
        assert isinstance(read_one(sim, proxy=setting), Snapshot)
    assert through == bool(asked)


def test_an_unreachable_proxy_is_named_without_its_password(sim):
    found = read_one(sim, proxy=through(f"http://user:password@127.0.0.1:{unused_port()}"))
    assert (SourceErrorKind.NETWORK, True, False) == (
        found.kind,
        "the proxy can't be reached" in str(found.message),
        "password" in str(found.message),
    )


def test_a_refused_connection_is_a_network_fault():
    found = read_from(endpoint(f"http://127.0.0.1:{unused_port()}"))
    assert (SourceErrorKind.NETWORK, True) == (
        found.kind,
        "no connection: connection refused" in str(found.message),
    )


def test_an_unknown_host_is_a_network_fault():
    found = read_from(endpoint("http://nowhere.invalid"))
    assert (SourceErrorKind.NETWORK, True) == (found.kind, "no such host" in str(found.message))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", SourceErrorKind.SCHEMA),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", SourceErrorKind.SCHEMA),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
            SourceErrorKind.CONFIGURATION,
        ),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", SourceErrorKind.CONFIGURATION),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
            SourceErrorKind.SCHEMA,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 200_000, SourceErrorKind.SCHEMA),
    ],
    ids=["not HTTP", "compressed", "redirect", "not modified", "huge header", "endless body"],
)
def test_faults_of_servers_are_distinguished(answer, kind):
    with answering(answer) as url:
        assert kind is read_from(endpoint(url)).kind


def test_cookies_are_not_carried_from_one_wallet_to_another():
    received = []

    def answer(connection):
        received.append(connection.recv(65536))
        connection.sendall(
            b"HTTP/1.1 403 no\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )

    with listening(answer, reads=False) as url:
        wallets = {WalletName(f"acme/{n}"): endpoint(url, key=f"k{n}") for n in range(2)}
        with source_of(wallets, concurrency=1) as source:
            assert 2 == len(list(source.fetch(list(wallets), budget=BUDGET)))
    assert [False, False] == [b"cookie" in request.lower() for request in received]


def read_from(where):
    with source_of({SHOP: where}, retrying=Retrying(attempts=1)) as source:
        (found,) = source.fetch([SHOP], budget=BUDGET)
    return found


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def answering(raw):
    """Send the same bytes to every client, then close the connection."""
    with listening(lambda connection: connection.sendall(raw)) as url:
        yield url


@contextmanager
def listening(answer, *, reads=True):
    """Serve each connection in a thread: read the head of the request, let `answer` write, close the connection."""

    def serve(connection):
        with connection, suppress(OSError):
            if reads:
                connection.recv(65536)
            answer(connection)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    with accepting(serve) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def accepting(serve):
    server = socket.create_server(("127.0.0.1", 0))
    threads = []

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.settimeout(2)
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    acceptor.join()
    server.close()
    for thread in threads:
        thread.join()


@contextmanager
def proxying(heads=None):
    """An HTTP proxy that forwards everything and records the requests."""
    asked = []
    heads = [] if heads is None else heads

    def serve(client):
        with client, suppress(OSError):
            head = client.recv(65536)
            heads.append(head)
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            asked.append(f"{method} {target}")
            host, port = target.removeprefix("http://").partition("/")[0].split(":")
            with socket.create_connection((host, int(port)), timeout=2) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 go on\r\n\r\n")
                else:
                    path = "/" + target.removeprefix("http://").partition("/")[2]
                    server.sendall(head.replace(target.encode(), path.encode(), 1))
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()

    with accepting(serve) as port:
        yield f"http://127.0.0.1:{port}", asked


def pump(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
