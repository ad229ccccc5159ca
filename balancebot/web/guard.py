"""What holds for every answer and every request, whatever page it is: headers, origins, sizes."""

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from balancebot.web.api.problem import is_for_api, problem

MAX_BODY = 8 * 1024 * 1024
"""The largest request, in bytes: a sheet of tens of thousands of rows."""

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
    # not no-referrer: with that, browsers send `Origin: null` with our own forms
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_NOT_KEPT = ("Cache-Control", "no-store")
_HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}
_SAFE = frozenset({"GET", "HEAD"})


class Guard:
    """Wraps the whole application: refuses what comes from another site or is too large, answers where nobody else
    did, and adds the headers.
    """

    def __init__(
        self, app: ASGIApp, *, public_url: str, on_failure: Callable[[Request, Exception], Response]
    ) -> None:
        self._app = app
        self._on_failure = on_failure
        self._host = urlsplit(public_url).netloc
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

        headers = Headers(scope=scope)
        if scope["method"] not in _SAFE:
            if not self._is_ours(headers):
                answer = _refusal(scope, 403, "this form belongs to another site")
                await answer(scope, receive, send_with_headers)
                return
            if not _is_small(headers):
                answer = _refusal(scope, 413, "the request is too large")
                await answer(scope, receive, send_with_headers)
                return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if has_begun:
                raise
            answer = self._on_failure(Request(scope), error)
            await answer(scope, receive, send_with_headers)

    def _is_ours(self, headers: Headers) -> bool:
        """Browsers name the site that a form was sent from; a client that names none is no browser to be misled."""
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc in {headers.get("host"), self._host}


def _refusal(scope: Scope, status: int, said: str) -> Response:
    if is_for_api(scope["path"]):
        return problem(status, said)
    return PlainTextResponse(f"{said}\n", status_code=status)


def _is_small(headers: Headers) -> bool:
    """A body must say its length: browsers do, and nothing has to be counted while it comes in."""
    length = headers.get("content-length", "")
    if not length:
        return "transfer-encoding" not in headers
    return length.isdecimal() and int(length) <= MAX_BODY
