"""The way out to Slack over HTTP: which proxy, no redirects, and what a broken connection means for a message.

Only HTTP and HTTPS are spoken. Redirects aren't followed: the token would go along. A time-out is of the whole exchange.
"""

import http.client
import socket
import ssl
from datetime import timedelta
from urllib.error import URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    OpenerDirector,
    ProxyHandler,
)

from balancebot.channels.http_deadline import DeadlineHTTPHandler, DeadlineHTTPSHandler
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.settings import Proxy

TIMEOUT = timedelta(seconds=7)
"""Of a write to Slack: it ends before the claim under which it began could have run out (8 s)."""
TRANSPORT_FAULTS = (OSError, http.client.HTTPException)
"""All that a connection can do to us; `URLError` and `ssl.SSLError` are OSErrors."""


def opener(proxy: Proxy | None) -> OpenerDirector:
    """Return an opener through `proxy`; None leaves it to HTTPS_PROXY and NO_PROXY."""
    director = OpenerDirector()
    for handler in (
        _proxy_handler(proxy),
        DeadlineHTTPHandler(),
        DeadlineHTTPSHandler(context=ssl.create_default_context()),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


def _proxy_handler(proxy: Proxy | None) -> ProxyHandler:
    if proxy is None:
        return ProxyHandler()
    if proxy.url is None:
        return ProxyHandler({})
    url = proxy.url.reveal()
    return ProxyHandler({"http": url, "https": url})


def transport_error(fault: Exception, *, host: str) -> ChannelError:
    """Say whether a request may have taken effect, from how its connection broke.

    urllib wraps what fails up to the end of sending in a `URLError`; anything else came while waiting for the answer.
    """
    reason = fault.reason if isinstance(fault, URLError) else fault
    if isinstance(fault, URLError) and _nothing_was_sent(reason):
        return ChannelError(
            kind=ChannelErrorKind.UNREACHABLE, message=f"{host} can't be reached: {_say(reason)}"
        )
    return ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=f"{host} gave no answer: {_say(reason)}")


def _nothing_was_sent(reason: object) -> bool:
    # A broken pipe or a reset can come in the middle of the request's last bytes.
    return not isinstance(reason, BrokenPipeError | ConnectionResetError | ConnectionAbortedError)


def _say(reason: object) -> str:
    match reason:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({reason.verify_message})"
        case socket.gaierror():
            return "no such host"
        case TimeoutError():
            return "timed out"
        case OSError(strerror=str(words)):
            return words.lower()
        case _:
            return type(reason).__name__
