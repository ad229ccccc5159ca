"""The kinds of value that are addresses: of mail, web pages, hosts, proxies and databases."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.toml_table import UnfitError
from balancebot.config.values import kind, kind_in_context, secret, text
from balancebot.domain.sentence import did_you_mean, split_address

_ADDRESS = re.compile(r"[^\s<>@,;:\"]+@[^\s<>@,;:\"]+")
_NAMED_ADDRESS = re.compile(rf"[^<>\x00-\x1f\x7f]*<{_ADDRESS.pattern}>")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[\w.-]*)(:\d{1,5})?(/[^/@]*)?")
_IN_NUMBERS = frozenset(
    {
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
    }
)
_POSTGRESQL_OPTIONS = _IN_NUMBERS | {
    "application_name",
    "channel_binding",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "require_auth",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "target_session_attrs",
    "user",
}
"""The options that libpq accepts in the address of a database. Any other name is a typing error."""


@kind("e-mail address")
def address(value: object) -> str:
    """Read a recipient's address, without a display name."""
    written = text(value).strip()
    if not _ADDRESS.fullmatch(written):
        raise UnfitError(f"must be an e-mail address such as finance@example.com, not {written!r}")
    return written


@kind("e-mail address, alone or as Name <address>")
def sender(value: object) -> str:
    """Read the sender's address, with or without a display name."""
    written = text(value).strip()
    if not _ADDRESS.fullmatch(written) and not _NAMED_ADDRESS.fullmatch(written):
        raise UnfitError(f'must be an address such as "Balances <balances@example.com>", not {written!r}')
    return written


@kind("web address")
def web_url(value: object) -> str:
    """Read a web address and drop a slash at its end. The value is never quoted: it may be a secret."""
    written = text(value)
    parts = split_address(written)
    fit = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    if not fit or any(character.isspace() for character in written):
        raise UnfitError("must be an address that begins with http:// or https://")
    return written.rstrip("/")


@kind("web address")
def base_url(value: object) -> str:
    """Read the address of an API, which must have no user, query or fragment."""
    written = web_url(value)
    parts = split_address(written)
    if parts is None or parts.query or parts.fragment or parts.username is not None:
        raise UnfitError("must be an address without user, query or fragment")
    return written


secret_url = secret(web_url, label="web address, secret")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens."""

    host: str
    """An IPv6 address has no brackets here."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@kind("host:port")
def listen(value: object) -> ListenAddress:
    """Read `host:port`; an IPv6 host is in brackets."""
    written = text(value)
    host, _, port = written.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port[:6]) > 65_535:
        raise UnfitError(f'must be a host and a port such as "127.0.0.1:8080", not {written!r}')
    return ListenAddress(host.removeprefix("[").removesuffix("]"), int(port))


@kind("https address")
def https_url(value: object) -> str:
    """Read the address of an identity provider. Plain http is accepted only on this machine."""
    written = base_url(value)
    parts = split_address(written)
    if parts is None or (parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}):
        raise UnfitError(f"must begin with https://, not {written!r}")
    return written


@kind("address or network")
def network(value: object) -> IPv4Network | IPv6Network:
    """Read an IP address, or a network such as `10.0.0.0/8`."""
    written = text(value)
    try:
        return ip_network(written)
    except ValueError:
        raise UnfitError(f"must be an address or a network such as 10.0.0.0/8, not {written!r}") from None


@kind("host name")
def host_name(value: object) -> str:
    """Read a host name without a port, in any case."""
    written = text(value)
    if not _HOST.fullmatch(written):
        raise UnfitError(f"must be a host name such as balances.example.com, not {written!r}")
    return written.lower()


@kind("name of an HTTP header")
def header_name(value: object) -> str:
    """Read the name of an HTTP header."""
    written = text(value)
    if not _HEADER.fullmatch(written):
        raise UnfitError(f"must be the name of a header such as X-Forwarded-User, not {written!r}")
    return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy for outgoing connections. `url` None: connect directly and ignore the environment's proxy variables."""

    url: Secret | None
    """It may contain a password."""


@kind_in_context('"direct" or web address, secret')
def proxy(value: object, context: ConfigContext) -> Proxy:
    """Read the address of a proxy, or "direct" for none."""
    return Proxy(url=None if value == "direct" else secret_url.read(value, context))


@kind_in_context("database address, secret")
def database_url(value: object, context: ConfigContext) -> Secret:
    """Read the address of the database. It may contain a password and is never quoted.

    It is resolved for every command. `sqlite:///FILE` is made absolute; `postgres://` and `postgresql://` get the
    driver that we use.
    """
    scheme, separator, rest = context.look_up(value).partition("://")
    if separator and scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
        _check_postgresql(rest)
        return Secret(f"postgresql+psycopg://{rest}")
    file, question_mark, _ = rest.partition("?")
    if (
        not separator
        or scheme not in {"sqlite", "sqlite+pysqlite"}
        or not file.startswith("/")
        or file == "/"
    ):
        raise UnfitError("must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
    if file == "/:memory:":
        raise UnfitError("must name a file: a database in memory forgets which alerts were sent")
    if question_mark:
        raise UnfitError("takes no options behind sqlite:///FILE")
    return Secret(f"sqlite:///{context.base / file[1:]}")


def _check_postgresql(rest: str) -> None:
    """Refuse what would be misread: an @ or / in a password makes the rest of it a host. Quote nothing."""
    place, _, query = rest.partition("?")
    if place.count("@") > 1 or "@" in place.partition("/")[2]:
        raise UnfitError("has a user or password with an @ or / of its own: write %40 for @ and %2F for /")
    if not _PLACE.fullmatch(place.rpartition("@")[2]):
        raise UnfitError("must end in @HOST:PORT/NAME, with a host of letters, digits, dots and hyphens")
    for option in filter(None, query.split("&")):
        name, _, value = option.partition("=")
        if name not in _POSTGRESQL_OPTIONS:
            known = did_you_mean(name, _POSTGRESQL_OPTIONS) if name.isidentifier() and len(name) < 40 else ""
            raise UnfitError(f"has an option behind ? that PostgreSQL doesn't know{known}")
        if name in _IN_NUMBERS and not (value.isascii() and value.isdecimal() and len(value) < 7):
            raise UnfitError(f"has an option {name} that isn't a whole number")
