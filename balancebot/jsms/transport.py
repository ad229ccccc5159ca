"""One GET over httpx: an answer read whole and no larger than 64 KiB, or a fault. Nothing else comes out.

The requests go to httpx's transport itself: its client would add redirects, cookies, authentication and log lines,
none of which is wanted here, for half as much time again (benchmarks/fetch.py). Redirects aren't followed and
cookies aren't kept: the one would carry credentials away, the other would mix wallets.
Deadlines are the caller's: it cancels, and what is under way is closed.
"""

import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
import httpx
from httpx_aiohttp import AiohttpTransport

from balancebot.jsms.answer import AnswerFault, Reply, plain
from balancebot.ports import SourceErrorKind

MAX_BODY_BYTES = 64 * 1024
_IDLE_SECONDS = 15.0

SSLProtocol.max_size = MAX_BODY_BYTES  # of each connection's buffer: asyncio takes four times as much


class Transport:
    """An HTTP client for one event loop. Its SSL context, made once, is the costly part."""

    def __init__(self, *, ca_bundle: Path | None, proxy: str | None) -> None:
        """Take the CA bundle (None: the system's) and the proxy (None: as the environment says; "direct": none).

        Raises ValueError for a bundle that can't be read.
        """
        self._context = ssl_context(ca_bundle)
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[str, AiohttpTransport] = {}

    async def get(self, request: httpx.Request, *, base_url: str) -> Reply | AnswerFault:
        """Send `request`, made whole beforehand and below `base_url`, and read its answer."""
        try:
            response = await self._route(base_url).handle_async_request(request)
            try:
                return await _read(response)
            finally:
                await response.aclose()
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            aiohttp.ClientError,
            OSError,
            ValueError,
        ) as error:
            return _fault(error)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _route(self, base_url: str) -> AiohttpTransport:
        route = self._routes.get(base_url)
        if route is None:
            proxy = proxy_for(base_url, self._proxy)
            route = self._routes[base_url] = AiohttpTransport(
                verify=self._context,
                proxy=None if proxy is None else _proxy(proxy),
                client=self._shared_session,
            )
        return route

    def _shared_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit here: the fixed set of workers is the limit.
                connector=aiohttp.TCPConnector(limit=0, ssl=self._context, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def ssl_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a verifying context that trusts `ca_bundle` alone, or what the system trusts."""
    if ca_bundle is None:
        paths = ssl.get_default_verify_paths()
        # Some builds of Python know no store of the system; a list of public authorities is then the next best.
        return ssl.create_default_context(cafile=None if paths.cafile or paths.capath else certifi.where())
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"ca_bundle {ca_bundle} can't be used: {error.strerror or error}") from error


def proxy_for(url: str, setting: str | None) -> str | None:
    """Return the proxy for `url`: by `setting` ("direct": none), or without one by HTTPS_PROXY and NO_PROXY."""
    if setting is not None:
        return None if setting == "direct" else setting
    parts = urlsplit(url)
    proxies = getproxies()
    if proxy_bypass(parts.netloc):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _proxy(url: str) -> httpx.Proxy:
    proxy = httpx.Proxy(url)
    if proxy.url.scheme not in {"http", "https"}:
        raise httpx.UnsupportedProtocol("a proxy speaks HTTP")
    if proxy.auth is None:
        return proxy
    # As a header of the proxy's own request, which aiohttp turns into Proxy-Authorization: it warns of the other way.
    user, password = proxy.auth
    return httpx.Proxy(proxy.url, headers={"Authorization": aiohttp.encode_basic_auth(user, password)})


async def _read(response: httpx.Response) -> Reply | AnswerFault:
    if response.headers.get("content-encoding", "identity") != "identity":
        return AnswerFault(
            kind=SourceErrorKind.SCHEMA, message=f"{response.status_code}, compressed though not asked to be"
        )
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 -- what an async transport answers with
    body = bytearray()
    async for chunk in response.stream:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return AnswerFault(
                kind=SourceErrorKind.SCHEMA,
                message=f"{response.status_code} with a body of more than 64 KiB, cut off",
            )
    return Reply(status=response.status_code, headers=response.headers, body=bytes(body))


def _fault(error: Exception) -> AnswerFault:
    """Say what broke below HTTP. The error's own words may hold a URL or a proxy's password: they are left out."""
    causes = list(_chain(error))
    for cause in causes:
        match cause:
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
                continue  # wraps the one that says why
            case ssl.SSLCertVerificationError():
                return AnswerFault(
                    kind=SourceErrorKind.TLS,
                    message=f"the certificate doesn't hold: {plain(cause.verify_message)}",
                )
            case aiohttp.ClientHttpProxyError():
                return AnswerFault(
                    kind=SourceErrorKind.CONFIGURATION if cause.status == 407 else SourceErrorKind.NETWORK,
                    message=f"the proxy refused the connection with {cause.status}",
                )
            case aiohttp.ClientProxyConnectionError():
                return AnswerFault(kind=SourceErrorKind.NETWORK, message="the proxy can't be reached")
            case aiohttp.ClientConnectorDNSError():
                return AnswerFault(kind=SourceErrorKind.NETWORK, message="no such host, or no name server")
            case aiohttp.ClientPayloadError():
                return AnswerFault(kind=SourceErrorKind.NETWORK, message="the answer broke off")
            case (
                aiohttp.InvalidURL()
                | aiohttp.NonHttpUrlClientError()
                | httpx.InvalidURL()
                | httpx.UnsupportedProtocol()
            ):
                return AnswerFault(
                    kind=SourceErrorKind.CONFIGURATION,
                    message="no usable address: are base_url and proxy right?",
                )
            case ssl.SSLError():
                return AnswerFault(
                    kind=SourceErrorKind.TLS, message=f"no TLS connection: {plain(cause.reason or '')}"
                )
            case aiohttp.ClientResponseError():
                return AnswerFault(kind=SourceErrorKind.SCHEMA, message="not an HTTP answer")
            case aiohttp.ServerDisconnectedError():
                return AnswerFault(kind=SourceErrorKind.NETWORK, message="hung up without an answer")
            case _:
                continue
    reason = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
    return AnswerFault(
        kind=SourceErrorKind.NETWORK, message=f"no connection: {plain(reason or type(causes[-1]).__name__)}"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = (
            error.__cause__ or getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        )
