"""The checks and headers of every request and answer: hosts, origins, sizes, security headers."""

import socket
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from types import MappingProxyType

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from balancebot.domain.sentence import sentence, split_address
from balancebot.web.api.problem import is_for_api, problem

MAX_BODY = 64 * 1024
"""The largest request, in bytes, of a path without a limit of its own."""
_FORMS = frozenset({"", "application/x-www-form-urlencoded"})
_UPLOAD = "multipart/form-data"
_JSON = "application/json"
_ALIVE = "/healthz"

_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_EVERYWHERE = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer: with it, browsers send `Origin: null` with our own forms
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_NOT_KEPT = ("Cache-Control", "no-store")
_HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}
_SAFE = frozenset({"GET", "HEAD"})


_ENDS = {"Connection": "close"}
"""Closes the connection, so that the server doesn't wait for the rest of a refused request."""


class Guard:
    """Wraps the whole application: refuses requests that come from another site, are too large or aren't forms; answers
    if nothing else did; and adds the headers.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        public_url: str,
        hosts: Collection[str] = (),
        max_bodies: Mapping[str, int] = MappingProxyType({}),
        on_failure: Callable[[Request, Exception], Response],
    ) -> None:
        """`hosts` are further names of this server; `max_bodies` are the largest requests of some paths, in bytes.

        A path that takes more than `MAX_BODY` also takes files.
        """
        self._app = app
        self._on_failure = on_failure
        self._max_bodies = max_bodies
        public = split_address(public_url)
        self._origin = public.netloc if public else ""
        self._hosts = {
            *map(str.lower, hosts),
            public.hostname if public else "",
            socket.gethostname().lower(),
        }
        self._headers = _EVERYWHERE | (_HTTPS_ONLY if public_url.startswith("https://") else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault(*_NOT_KEPT)
            await send(message)

        try:
            path, limit = scope["path"], self._max_bodies.get(scope["path"], MAX_BODY)
            refusal = self._refusal(scope["method"], path, Headers(scope=scope), limit)
            if refusal is None:
                await self._app(scope, _at_most(limit, receive), send_with_headers)
            else:
                await refusal(scope, receive, send_with_headers)
        except ClientDisconnect:
            return  # nobody waits for an answer, and clients that hang up must not fill the log
        except Exception as error:
            if has_begun:
                raise
            answer = self._on_failure(Request(scope), error)
            await answer(scope, receive, send_with_headers)

    def _refusal(self, method: str, path: str, headers: Headers, limit: int) -> Response | None:
        """Return the refusal of a request that no page needs to see; None if a page must answer it."""
        if path != _ALIVE and not self._is_known(headers.get("host")):
            # The page of another site whose host name was pointed at this address could read /metrics.
            return _refused(
                path, 421, "this host name isn't known here: set [web] public_url, or add it to [web] hosts"
            )
        length = headers.get("content-length")
        if length is not None and "transfer-encoding" in headers:
            return _refused(path, 400, "a request has either a length or chunks")
        if length is not None and not (length.isdecimal() and len(length) < 16 and int(length) <= limit):
            return _refused(path, 413, "the request is too large")
        if is_for_api(path) and path.endswith("/"):
            # the router would redirect it, as it does for pages, but a redirect isn't described for programs
            return _refused(path, 404, "no path of the API ends with a slash")
        if method in _SAFE:
            return None
        if not self._is_ours(headers):
            return _refused(path, 403, "this form belongs to another site")
        if not _is_form(
            headers.get("content-type", ""), with_files=limit > MAX_BODY, with_json=is_for_api(path)
        ):
            return _refused(path, 415, "a form is sent as application/x-www-form-urlencoded in UTF-8")
        return None

    def _is_ours(self, headers: Headers) -> bool:
        """Return whether a form comes from our own pages. Without an origin it is no browser, which nobody can mislead."""
        origin = headers.get("origin")
        if origin is None:
            return True
        parts = split_address(origin)
        return (
            parts is not None and parts.netloc != "" and parts.netloc in {headers.get("host"), self._origin}
        )

    def _is_known(self, host: str | None) -> bool:
        """Return whether a request names this server. Nobody else can own an IP address, or a name without a dot."""
        if host is None:
            return True  # HTTP/1.0: not a browser
        parts = split_address(f"//{host}")
        name = parts.hostname if parts else None
        if name is None:
            return False
        name = name.rstrip(".")
        return "." not in name or name in self._hosts or _is_address(name)


def _refused(path: str, status: int, words: str) -> Response:
    if is_for_api(path):
        return problem(status, words, headers=_ENDS)
    return PlainTextResponse(f"{words}\n", status_code=status, headers=_ENDS)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_form(content_type: str, *, with_files: bool, with_json: bool) -> bool:
    """Return whether a body has a type that is read here. The sender can't choose the codec: some take minutes."""
    kind, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"utf-8").lower()
    taken = _FORMS | ({_UPLOAD} if with_files else set()) | ({_JSON} if with_json else set())
    return kind.decode("latin-1").lower() in taken and charset in {b"utf-8", b"utf8"}


def _at_most(limit: int, receive: Receive) -> Receive:
    """Count a body while it arrives, whatever length the request claims; raise if it is larger than `limit` bytes."""
    count = 0

    async def receive_counted() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > limit:
            raise HTTPException(413, sentence("The request is too large.").id, headers=_ENDS)
        return message

    return receive_counted
