"""Endpoints: the URL and key pair of each wallet, prepared requests, hiding of secrets, and checks of key pairs."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import httpx

from balancebot import __version__
from balancebot.config import AccountConfig, Secret
from balancebot.domain.balance import WalletName, app_of
from balancebot.domain.sentence import Sentence, sentence
from balancebot.jsms.answer import EndpointKind
from balancebot.redact import MIN_LENGTH, STARS, Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The URL and the key pair with which one wallet is read."""

    base_url: str
    kind: EndpointKind
    key: Secret
    """devKey or appKey."""
    secret: Secret
    """apiDevSecret or masterSecret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint with its prepared request, which is built once and sent many times."""

    endpoint: Endpoint
    request: httpx.Request
    host: str
    twin: WalletName | None
    """A wallet of the other kind that is configured with the same key, if any."""


def endpoints_of(accounts: Iterable[AccountConfig]) -> dict[WalletName, Endpoint]:
    """Return the endpoint of each wallet."""
    return {
        name: Endpoint(
            base_url=account.base_url,
            kind=EndpointKind.ACCOUNT if app_of(name) is None else EndpointKind.APP,
            key=keys.key,
            secret=keys.secret,
        )
        for account in accounts
        for name, keys in account.wallets()
    }


def redactor_of(endpoints: Mapping[WalletName, Endpoint]) -> Callable[[str], str]:
    """Return a function that hides all key pairs in a text: short ones literally, long ones in any encoding."""
    values = {half.reveal() for endpoint in endpoints.values() for half in (endpoint.key, endpoint.secret)}
    short = sorted((value for value in values if 0 < len(value) < MIN_LENGTH), key=len, reverse=True)
    redact = Redactor(values)
    if not short:
        return redact
    pattern = re.compile("|".join(map(re.escape, short)))
    return lambda text: redact(pattern.sub(STARS, text))


def targets_of(endpoints: Mapping[WalletName, Endpoint]) -> Mapping[WalletName, Target]:
    """Prepare the request of every wallet. Raises ValueError for an invalid base URL."""
    by_key: dict[tuple[EndpointKind, Secret], WalletName] = {}
    for wallet, endpoint in endpoints.items():
        by_key.setdefault((endpoint.kind, endpoint.key), wallet)
    return MappingProxyType(
        {
            wallet: _target(endpoint, twin=by_key.get((endpoint.kind.other, endpoint.key)))
            for wallet, endpoint in endpoints.items()
        }
    )


def _target(endpoint: Endpoint, *, twin: WalletName | None) -> Target:
    try:
        url = httpx.URL(endpoint.base_url.rstrip("/") + endpoint.kind.path)
    except httpx.InvalidURL as error:
        raise ValueError("base_url is no address") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise ValueError("base_url must be http:// or https:// and a host, without a user")
    pair = f"{endpoint.key.reveal()}:{endpoint.secret.reveal()}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"balancebot/{__version__}",
    }
    return Target(
        endpoint=endpoint,
        request=httpx.Request("GET", url, headers=headers),
        host=url.netloc.decode(),
        twin=twin,
    )


def oddities(endpoint: Endpoint) -> Iterator[Sentence]:
    """Yield what looks wrong about a key pair, without showing it: mostly characters that were copied by mistake."""
    for value, odd in ((endpoint.key, _ODD_KEY), (endpoint.secret, _ODD_SECRET)):
        if oddity := _oddity(value.reveal()):
            yield odd[oddity]


def _oddity(value: str) -> str:
    bare = value.strip()
    if bare != value:
        return "padded"
    if len(bare) > 1 and (bare[0] == bare[-1] or bare[0] + bare[-1] in _QUOTES) and bare[0] in _OPENING:
        return "quoted"
    if any(char.isspace() for char in bare):
        return "spaced"
    if not bare.isascii():
        return "not ascii"
    return "colon" if ":" in bare else ""


_ODD_KEY = {
    "padded": sentence("the key begins or ends with a space"),
    "quoted": sentence("the key is in quotes"),
    "spaced": sentence("the key contains a space"),
    "not ascii": sentence("the key contains characters that aren't ASCII"),
    "colon": sentence("the key contains a colon"),
}
_ODD_SECRET = {
    "padded": sentence("the secret begins or ends with a space"),
    "quoted": sentence("the secret is in quotes"),
    "spaced": sentence("the secret contains a space"),
    "not ascii": sentence("the secret contains characters that aren't ASCII"),
    "colon": sentence("the secret contains a colon"),
}
_QUOTES = frozenset({"“”", "‘’", "„“", "«»", "「」", "<>", "()", "[]", "{}"})
_OPENING = frozenset("\"'`“‘„«「<([{")
