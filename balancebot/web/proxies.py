"""The address and name of a visitor: from the connection, or from a trusted proxy."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from balancebot.domain.user import user_name_fault

Networks = Sequence[IPv4Network | IPv6Network]

_PEER = "balancebot.peer"
_LOOPBACK: Networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""Proxies that are trusted with a visitor's address if none is configured, but never with a user's name."""


class VisitorAddress:
    """Wraps the application: `client` becomes the visitor's address; the address of the connection is kept as well."""

    def __init__(self, app: ASGIApp, *, trusted: Networks) -> None:
        self._app = app
        self._trusted = trusted or _LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") is not None:
            host, port = scope["client"]
            visitor = host
            named = [
                part.strip() for part in ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
            ]
            # our own proxy wrote the last address; anybody can have written the first
            while named and is_within(visitor, self._trusted):
                address = named.pop()
                if not _is_address(address):
                    break
                visitor = address
            scope = {**scope, "client": (visitor, port), _PEER: host}
        await self._app(scope, receive, send)


def proxied_user(request: Request, *, header: str, trusted: Networks) -> str | None:
    """Return the user whom a trusted proxy names; '' = a name that can't exist, None = no user."""
    peer = request.scope.get(_PEER, "")
    if not is_within(peer, trusted):
        return None
    names = request.headers.getlist(header)
    if not names or names == [""]:
        return None
    try:
        name = names[0].encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return ""
    return name if len(names) == 1 and not user_name_fault(name) else ""


def is_within(address: str, networks: Networks) -> bool:
    """Return whether `address` is in one of the networks; text that is no address is in none."""
    if not _is_address(address):
        return False
    found = ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
