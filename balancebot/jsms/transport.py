"""One GET request with httpx. The result is a complete answer of at most 64 KiB, or a fault.

httpx sends through aiohttp (httpx-aiohttp) and our own connector, because httpx searches its whole pool for every
request and gets slower with every connection (benchmarks/fetch.py).
Redirects aren't followed, because they would leak the credentials; cookies aren't kept, because they would mix wallets.
Nothing is decompressed: compression isn't requested. If something unrequested arrives on a kept connection, the
connection is dropped: otherwise the next wallet would take it for its answer.
The caller is responsible for deadlines: it cancels, and the connection of the request is closed.
"""

import asyncio
import logging
import select
import socket
import ssl
import threading
import weakref
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from httpx_aiohttp import AiohttpTransport

from balancebot.config import Proxy
from balancebot.domain.sentence import Sentence, clean_text, sentence, verbatim
from balancebot.jsms.answer import AnswerFault, Reply
from balancebot.network import proxy_for, reason_of, system_trust
from balancebot.ports import SourceErrorKind

log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs a line for each request at INFO

MAX_BODY_BYTES = 64 * 1024
_IDLE_SECONDS = 15.0
SSLProtocol.max_size = MAX_BODY_BYTES
"""The buffer of each TLS connection. asyncio's default is four times as much: 19 MB for 100 connections
(benchmarks/fetch.py)."""
_PROBATION_SECONDS = 0.1
"""How long a connection is watched after its first answer, before it is used again."""
_DISTRUST_SECONDS = 3600.0
_DNS_SECONDS = 60
"""How long a resolved host name is cached."""

# OpenSSL's codes of certificate errors, and what a person can do about them
_CERTIFICATE_ADVICE: Mapping[int, Sentence] = {
    9: sentence("is this machine's clock right?"),  # not yet valid
    10: sentence("its operator must renew it, or this machine's clock is wrong"),  # expired
    18: sentence("ca_bundle must contain it or its authority"),  # self-signed
    19: sentence("ca_bundle must contain its authority"),  # self-signed in the chain
    20: sentence("ca_bundle must contain its authority"),  # unknown issuer
    21: sentence("ca_bundle must contain its authority"),  # first certificate of the chain is missing
    62: sentence("is base_url right?"),  # another host name
    64: sentence("is base_url right?"),  # another address
}


class Transport:
    """An HTTP client for one event loop. Its SSL context is expensive and made once."""

    def __init__(self, *, ca_bundle: Path | None, proxy: Proxy | None) -> None:
        """`ca_bundle` None means the system's; `proxy` None means the environment's.

        Raises ValueError for a bundle that can't be read.
        """
        self._context = ssl_context(ca_bundle)
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[str, httpx.AsyncBaseTransport] = {}

    async def get(self, request: httpx.Request, *, base_url: str) -> Reply | AnswerFault:
        """Send `request`, whose URL is below `base_url`, and read its answer. A request may be sent many times."""
        try:
            response = await self._client(base_url).handle_async_request(request)
            try:
                return await _read(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            return _fault(error)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _client(self, base_url: str) -> httpx.AsyncBaseTransport:
        """Return httpx's transport for a base URL, which uses the right proxy. All share their connections.

        An `httpx.AsyncClient` around it would add cookies, redirects, authentication and time limits, none of which is
        wanted here, and take 1.0 instead of 0.7 ms of CPU for a request (benchmarks/fetch.py).
        """
        client = self._clients.get(base_url)
        if client is None:
            client = self._clients[base_url] = AiohttpTransport(
                verify=self._context,
                client=self._shared_session(),
                proxy=_proxy(proxy_for(base_url, self._proxy)),
            )
        return client

    def _shared_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit of connections here: the number of workers is the limit.
            connector = _Connector(
                limit=0,
                ssl=self._context,
                keepalive_timeout=_IDLE_SECONDS,
                ttl_dns_cache=_DNS_SECONDS,
                resolver=_Resolver(),
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _proxy(address: str | None) -> httpx.Proxy | None:
    if address is None:
        return None
    proxy = httpx.Proxy(address)
    if proxy.auth is None:
        return proxy
    # as a header of the request to the proxy, which aiohttp turns into Proxy-Authorization; it warns about the other way
    return httpx.Proxy(proxy.url, headers={"Authorization": aiohttp.encode_basic_auth(*proxy.auth)})


class _Connector(aiohttp.TCPConnector):
    """Reuses a connection only if nothing unrequested has arrived on it.

    JSMS's answers don't name the key: an extra answer would be taken for that of the next wallet. So a connection is
    checked before each reuse, at first for a short while. After an extra answer, the host gets a new connection for each
    request.
    """

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self._num_uses: weakref.WeakKeyDictionary[ResponseHandler, int] = weakref.WeakKeyDictionary()
        self._distrusted: dict[str, float] = {}
        """By host, until when (on the loop's clock) no connection is reused."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Any:
        """Return a new connection, or one that was checked."""
        host = req.url.host or ""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None:
                return connection
            self._num_uses[protocol] = num_uses = self._num_uses.get(protocol, 0) + 1
            is_distrusted = self._distrusted.get(host, 0.0) > self._loop.time()
            if num_uses == 1:
                if is_distrusted:
                    protocol.force_close()
                return connection
            if not is_distrusted:
                try:
                    is_quiet = await _stays_quiet(protocol, 0 if num_uses > 2 else _PROBATION_SECONDS)
                except asyncio.CancelledError:
                    connection.close()
                    raise
                if is_quiet:
                    return connection
                if protocol.is_connected() and protocol.should_close:
                    log.warning("source.unasked_answer", extra={"host": host})
                    self._distrusted[host] = self._loop.time() + _DISTRUST_SECONDS
            connection.close()


async def _stays_quiet(protocol: ResponseHandler, seconds: float) -> bool:
    """Watch a connection for some time; return whether it is still open and nothing has arrived on it."""
    await asyncio.sleep(seconds)
    for _ in range(3 if _is_readable(protocol) else 0):
        await asyncio.sleep(
            0
        )  # let the loop process what has arrived: the end of the connection, or an answer
    return protocol.is_connected() and not protocol.should_close and not _is_readable(protocol)


def _is_readable(protocol: ResponseHandler) -> bool:
    sock = None if protocol.transport is None else protocol.transport.get_extra_info("socket")
    if sock is None:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Resolver(AbstractResolver):
    """Resolves host names in daemon threads, so that the process can exit while a name server hangs for half a minute."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises OSError."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def settle(addresses: list[ResolveResult], error: OSError | None) -> None:
            if not found.done():
                if error is None:
                    found.set_result(addresses)
                else:
                    found.set_exception(error)

        def look_up() -> None:
            addresses: list[ResolveResult] = []
            failure: OSError | None = None
            try:
                addresses = _addresses(host, port, family)
            except (OSError, UnicodeError) as error:
                failure = error if isinstance(error, OSError) else OSError(str(error))
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, addresses, failure)

        threading.Thread(target=look_up, name="name lookup", daemon=True).start()
        return await found

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=found,
            proto=proto,
            flags=socket.AI_NUMERICHOST,
        )
        for found, _, proto, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
    ]


def ssl_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return an SSL context that verifies certificates by `ca_bundle` alone, or by the system's trust if it is None."""
    if ca_bundle is None:
        return system_trust()
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"ca_bundle {ca_bundle} can't be used: {error.strerror or error}") from error


async def _read(response: httpx.Response) -> Reply | AnswerFault:
    status = response.status_code
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return AnswerFault(
            kind=SourceErrorKind.SCHEMA,
            message=sentence("%(status)s, compressed without being asked to", status=status),
        )
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return AnswerFault(
                kind=SourceErrorKind.SCHEMA,
                message=sentence("%(status)s with a body of more than 64 KiB, cut off", status=status),
            )
    return Reply(status=status, headers=response.headers, body=bytes(body))


def _fault(error: Exception) -> AnswerFault:
    """Return the fault for an error below HTTP. Its own text is left out: it may contain a URL or a proxy's password."""
    causes = list(_chain(error))
    for cause in causes:
        match cause:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                continue  # it wraps the error with the cause
            case ssl.SSLCertVerificationError():
                message = sentence(
                    "the certificate is not valid: %(reason)s", reason=clean_text(cause.verify_message)
                )
                if advice := _CERTIFICATE_ADVICE.get(cause.verify_code):
                    message = sentence("%(fault)s (%(advice)s)", fault=message, advice=advice)
                return AnswerFault(kind=SourceErrorKind.TLS, message=message)
            case aiohttp.ClientHttpProxyError():
                return AnswerFault(
                    kind=SourceErrorKind.CONFIGURATION
                    if cause.status in {401, 403, 405, 407}
                    else SourceErrorKind.NETWORK,
                    message=sentence("the proxy refused the connection with %(status)s", status=cause.status),
                )
            case aiohttp.ClientProxyConnectionError():
                return AnswerFault(
                    kind=SourceErrorKind.NETWORK, message=sentence("the proxy can't be reached")
                )
            case aiohttp.ClientConnectorDNSError():
                return AnswerFault(
                    kind=SourceErrorKind.NETWORK, message=sentence("no such host, or no name server")
                )
            case aiohttp.ClientPayloadError():
                return AnswerFault(kind=SourceErrorKind.NETWORK, message=sentence("the answer broke off"))
            case (
                aiohttp.InvalidURL()
                | aiohttp.NonHttpUrlClientError()
                | httpx.InvalidURL()
                | httpx.UnsupportedProtocol()
            ):
                return AnswerFault(
                    kind=SourceErrorKind.CONFIGURATION,
                    message=sentence("no usable address: are base_url and proxy right?"),
                )
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return AnswerFault(
                    kind=SourceErrorKind.NETWORK,
                    message=sentence("the connection was closed without an answer"),
                )
            case ssl.SSLError():
                return AnswerFault(
                    kind=SourceErrorKind.TLS,
                    message=sentence("no TLS connection: %(reason)s", reason=clean_text(cause.reason or "")),
                )
            case aiohttp.ClientResponseError():
                return AnswerFault(kind=SourceErrorKind.SCHEMA, message=sentence("not an HTTP answer"))
            case aiohttp.ServerDisconnectedError():
                return AnswerFault(
                    kind=SourceErrorKind.NETWORK,
                    message=sentence("the connection was closed without an answer"),
                )
            case _:
                continue
    number = next((cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno), None)
    reason = verbatim(type(causes[-1]).__name__) if number is None else reason_of(number)
    return AnswerFault(
        kind=SourceErrorKind.NETWORK, message=sentence("no connection: %(reason)s", reason=reason)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = (
            error.__cause__ or getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        )
