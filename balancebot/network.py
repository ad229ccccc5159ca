"""Requests to the outside: one event loop, a deadline for each exchange as a whole, proxies, bounded answers.

A thread that delivers gives its work to `run` and waits. Even if the other side sends its bytes slowly, the wait ends
at the deadline. `exchange` does this for one HTTP request; if the request fails, the error says whether it may have had
an effect. JSMS has its own loop (`jsms/pool.py`): thousands of readings must not delay a message.
"""

import asyncio
import atexit
import errno
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

from balancebot.config import Proxy
from balancebot.domain.sentence import Sentence, sentence, split_address, verbatim
from balancebot.ports import ChannelError, ChannelErrorKind

T = TypeVar("T")

MAX_ANSWER_BYTES = 1024 * 1024
TIMEOUT = timedelta(seconds=7)
"""The limit of a request that sends a message: it ends before the claim for it could expire (8 s)."""


def run(work: Callable[[], Coroutine[Any, Any, T]], *, within: timedelta) -> T:
    """Run `work` on the event loop and wait for it. Raises TimeoutError if it isn't finished `within` that time."""

    async def limited() -> T:
        async with asyncio.timeout(within.total_seconds()):
            return await work()

    with _starting:
        loop = _loop()
    return asyncio.run_coroutine_threadsafe(limited(), loop).result()


_starting = threading.Lock()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Start the loop in a daemon thread: a host name that can't be resolved must not keep the process from ending."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="network", daemon=True).start()
    return loop


@dataclass(slots=True)
class _Exchange:
    """One request under way: whether any part of it was sent."""

    was_sent: bool = False


_current: ContextVar[_Exchange] = ContextVar("exchange")


@cache
def _session() -> aiohttp.ClientSession:
    """Create the session of all exchanges, on the loop. It keeps no state; only its TLS context takes time to make."""

    async def note_sent(*_: object) -> None:
        _current.get().was_sent = True

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(note_sent)
    session = aiohttp.ClientSession(
        # Don't reuse connections: on one that the other side has closed, a message would be in doubt.
        connector=aiohttp.TCPConnector(ssl=system_trust(), force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=_BoundedResponse,
        trace_configs=[trace],
    )
    atexit.register(run, session.close, within=timedelta(seconds=1))
    return session


def exchange(
    work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, T]], *, service: str, within: timedelta
) -> T | ChannelError:
    """Let `work` make one HTTP request; an error names `service`, never the address.

    Its kind is UNREACHABLE if the request can't have had an effect, because not even its headers were sent, else
    IN_DOUBT. An untrusted certificate has the kind AUTH: only a person can fix it. The caller must refuse redirects.
    """
    exchanged = _Exchange()

    async def request() -> T:
        _current.set(exchanged)
        return await work(_session())

    try:
        return run(request, within=within)
    except (aiohttp.ClientError, OSError, UnicodeError) as fault:
        reason = _reason(fault)
        if not exchanged.was_sent:
            is_certificate = isinstance(_cause(fault), ssl.SSLCertVerificationError)
            return ChannelError(
                kind=ChannelErrorKind.AUTH if is_certificate else ChannelErrorKind.UNREACHABLE,
                message=sentence("%(host)s can't be reached: %(reason)s", host=service, reason=reason),
            )
        return ChannelError(
            kind=ChannelErrorKind.IN_DOUBT,
            message=sentence("%(host)s gave no answer: %(reason)s", host=service, reason=reason),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The complete answer to one request."""

    status: int
    headers: Mapping[str, str]
    """The case of their names doesn't matter."""
    text: str


def post_json(
    url: str,
    body: object,
    *,
    service: str,
    proxy: Proxy | None,
    within: timedelta,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> HttpAnswer | ChannelError:
    """Post `body` as JSON (bytes unchanged); an error names `service`, never `url`. Redirects aren't followed."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", **headers}
    return _request("POST", url, service=service, proxy=proxy, within=within, data=data, headers=headers)


def get(url: str, *, service: str, proxy: Proxy | None, within: timedelta) -> HttpAnswer | ChannelError:
    """Get `url`, which no error names. Redirects aren't followed."""
    return _request("GET", url, service=service, proxy=proxy, within=within)


def _request(
    method: str, url: str, *, service: str, proxy: Proxy | None, within: timedelta, **options: Any
) -> HttpAnswer | ChannelError:
    async def request(session: aiohttp.ClientSession) -> HttpAnswer:
        way = proxy_for(url, proxy)
        async with session.request(method, url, proxy=way, allow_redirects=False, **options) as answer:
            body = await answer.read()
            return HttpAnswer(
                status=answer.status, headers=answer.headers, text=body.decode("utf-8", "replace")
            )

    return exchange(request, service=service, within=within)


def proxy_for(url: str, proxy: Proxy | None) -> str | None:
    """Return the proxy for `url`: the configured one, else that of HTTPS_PROXY (or ALL_PROXY), unless NO_PROXY excludes
    it.

    WebSockets use the same proxy as pages. SOCKS proxies of the environment are ignored: nothing here supports SOCKS,
    and desktop tools put one into ALL_PROXY for programs that do.
    """
    if proxy is not None:
        return None if proxy.url is None else proxy.url.reveal()
    address = split_address(url)
    if address is None or not address.hostname or proxy_bypass(address.netloc):
        return None
    scheme = {"ws": "http", "wss": "https"}.get(address.scheme, address.scheme)
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if not found:
        return None
    found = found if "://" in found else f"http://{found}"
    return found if found.startswith(("http://", "https://")) else None


@cache
def system_trust() -> ssl.SSLContext:
    """Return the shared context that trusts the system's authorities; loading them takes 20 ms."""
    paths = ssl.get_default_verify_paths()
    # Some builds of Python find no store of the system; then use a list of public authorities.
    return ssl.create_default_context(cafile=None if paths.cafile or paths.capath else certifi.where())


class AnswerTooLargeError(aiohttp.ClientPayloadError):
    """An answer of more than `MAX_ANSWER_BYTES`."""


class _BoundedResponse(aiohttp.ClientResponse):
    """An answer that is read as a whole, up to `MAX_ANSWER_BYTES`."""

    async def start(self, connection: Any) -> "_BoundedResponse":
        await super().start(connection)
        self.content = _BoundedStream(self.content)  # type: ignore[assignment]
        return self


class _BoundedStream:
    """A body that can only be read as a whole."""

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, n: int = -1) -> bytes:
        """Read the whole body."""
        del n
        body = bytearray()
        while piece := await self._stream.readany():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError("larger than 1 MiB")
        return bytes(body)


def _cause(fault: BaseException) -> BaseException:
    """Return the error of the operating system or of TLS that aiohttp wraps."""
    inner = getattr(fault, "certificate_error", None) or getattr(fault, "os_error", None) or fault.__cause__
    return fault if inner is None else _cause(inner)


_REASONS: Final = {
    errno.ECONNREFUSED: sentence("connection refused"),
    errno.ECONNRESET: sentence("the connection was reset"),
    errno.EPIPE: sentence("the connection was reset"),
    errno.ETIMEDOUT: sentence("timed out"),
    errno.EHOSTUNREACH: sentence("no route to the host"),
    errno.ENETUNREACH: sentence("no route to the host"),
}


def reason_of(number: int) -> Sentence:
    """Describe an error of the operating system by its number: its own text contains addresses, in one language."""
    return _REASONS.get(number) or verbatim(os.strerror(number).lower())


def _reason(fault: BaseException) -> Sentence:
    """Describe a failure; its own text may contain an address or a proxy's password."""
    match fault:
        case AnswerTooLargeError():
            return sentence("the answer is too large")
        case aiohttp.ClientHttpProxyError():
            return sentence("the proxy answers %(status)s", status=fault.status)
        case aiohttp.ClientProxyConnectionError():
            return sentence("the proxy can't be reached")
        case aiohttp.ClientConnectorDNSError():
            return sentence("no such host")
        case aiohttp.InvalidURL() | UnicodeError():
            return sentence("the address is not valid")
        case aiohttp.ClientResponseError():
            return sentence("not an HTTP answer")
        case aiohttp.ClientPayloadError():
            return sentence("the answer broke off")
        case aiohttp.ServerDisconnectedError():
            return sentence("the connection was closed")
        case TimeoutError():
            return sentence("timed out")
    match _cause(fault):
        case ssl.SSLCertVerificationError() as untrusted:
            return sentence("its certificate is not trusted (%(reason)s)", reason=untrusted.verify_message)
        case socket.gaierror():
            return sentence("no such host")
        case ssl.SSLError() as broken:
            reason = (broken.reason or type(broken).__name__).replace("_", " ").lower()
            return sentence("no TLS connection (%(reason)s)", reason=reason)
        case OSError(errno=int(number)):
            return reason_of(number)
        case other:
            return verbatim(type(other).__name__)
