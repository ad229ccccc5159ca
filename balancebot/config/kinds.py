"""The kinds of value a key may have: each parser returns the value or says in words what the key wants.

Only values of keys that hold no secret are ever quoted.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from balancebot.config.table import Parser, UnfitError, described
from balancebot.domain.balance import Category
from balancebot.domain.pattern import Pattern, name_fault
from balancebot.domain.spelling import did_you_mean
from balancebot.domain.verdict import Severity

T = TypeVar("T")
V = TypeVar("V")
E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36_500)
_ADDRESS = re.compile(r"[^\s<>@,;:\"]+@[^\s<>@,;:\"]+")
_UNTIL_SUNDAY = re.compile(r"-sun\b", re.IGNORECASE)
"""The end of a range, where Sunday is the seventh day and not the one before Monday."""
_NAMED_ADDRESS = re.compile(rf"[^<>\x00-\x1f\x7f]*<{_ADDRESS.pattern}>")
_SLACK_ID = re.compile(r"[UWS][A-Z0-9]+")


def text(value: object) -> str:
    """Read a line of text that isn't empty."""
    if not isinstance(value, str):
        raise UnfitError(f"must be a string, not {described(value)}")
    if not value.strip():
        raise UnfitError("is empty")
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise UnfitError("holds a line break or another control character")
    return value


def name(value: object) -> str:
    """Read the name of an account or an app."""
    if not isinstance(value, str):
        raise UnfitError(f"must be a string, not {described(value)}")
    fault = name_fault(value)
    if fault is not None:
        raise UnfitError(fault)
    return value


def duration(*, at_least: timedelta = timedelta(0)) -> Parser[timedelta]:
    """Make a reader of durations such as `30s`, `5m`, `36h`, `7d`."""

    def parse(value: object) -> timedelta:
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            wrong = repr(value) if isinstance(value, str) else described(value)
            raise UnfitError(f'must be a duration such as "30s", "5m", "36h" or "7d", not {wrong}')
        try:
            parsed = timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:
            parsed = timedelta.max
        if parsed > _LONGEST:
            raise UnfitError(f"is {value}: the longest is {shown(_LONGEST)}")
        if parsed < at_least:
            raise UnfitError(f"is {value}: the shortest is {shown(at_least)}")
        return parsed

    return parse


def shown(length: timedelta) -> str:
    """Return a duration as the file writes it, in its largest whole unit."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def whole(*, at_least: int, at_most: int) -> Parser[int]:
    """Make a reader of whole numbers within both bounds."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnfitError(f"must be a whole number, not {described(value)}")
        if not at_least <= value <= at_most:
            raise UnfitError(f"must be from {at_least} to {at_most}")
        return value

    return parse


def number(*, at_least: float, at_most: float) -> Parser[float]:
    """Make a reader of numbers within both bounds; `nan` is in no bounds."""

    def parse(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UnfitError(f"must be a number, not {described(value)}")
        if not at_least <= value <= at_most:
            raise UnfitError(f"must be from {at_least:g} to {at_most:g}")
        return float(value)

    return parse


def one_of(choices: type[E]) -> Parser[E]:
    """Make a reader of a closed set of words."""

    def parse(value: object) -> E:
        if not isinstance(value, str):
            raise UnfitError(f"must be a string, not {described(value)}")
        try:
            return choices(value)
        except ValueError:
            words = ", ".join(f'"{choice}"' for choice in choices)
            raise UnfitError(f"must be one of {words}, not {value!r}{did_you_mean(value, choices)}") from None

    return parse


def list_of(parse: Parser[T]) -> Parser[tuple[T, ...]]:
    """Make a reader of lists; what stands twice is taken once."""

    def parse_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise UnfitError(f'must be a list such as ["…"], not {described(value)}')
        parsed = parse_elements(parse, ((f"[{index}]", item) for index, item in enumerate(value)))
        return tuple(dict.fromkeys(parsed))

    return parse_all


def severity(value: object) -> Severity:
    """Read the severity that a route begins at."""
    choices = {choice.word: choice for choice in Severity if choice > Severity.OK}
    if not isinstance(value, str):
        raise UnfitError(f"must be a string, not {described(value)}")
    if value not in choices:
        words = ", ".join(f'"{word}"' for word in choices)
        raise UnfitError(f"must be one of {words}, not {value!r}{did_you_mean(value, choices)}")
    return choices[value]


def pattern(value: object) -> Pattern:
    """Read a pattern of balances."""
    parsed = Pattern.parse(text(value))
    if isinstance(parsed, str):
        raise UnfitError(parsed)
    return parsed


def address(value: object) -> str:
    """Read a recipient's bare address."""
    written = text(value).strip()
    if not _ADDRESS.fullmatch(written):
        raise UnfitError(f"must be an e-mail address such as finance@example.com, not {written!r}")
    return written


def sender(value: object) -> str:
    """Read the address of the sender, alone or behind a name."""
    written = text(value).strip()
    if not _ADDRESS.fullmatch(written) and not _NAMED_ADDRESS.fullmatch(written):
        raise UnfitError(f'must be an address such as "Balances <balances@example.com>", not {written!r}')
    return written


def web_url(value: object) -> str:
    """Read an address of the web; a slash at its end is dropped. The value is never quoted: it may be a secret."""
    written = text(value)
    try:
        parts = urlsplit(written)
        fit = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    if not fit or any(character.isspace() for character in written):
        raise UnfitError("must be an address that begins with http:// or https://")
    return written.rstrip("/")


def base_url(value: object) -> str:
    """Read the address of an API: no user, query or fragment belongs in it."""
    written = web_url(value)
    parts = urlsplit(written)
    if parts.query or parts.fragment or parts.username is not None:
        raise UnfitError("must be an address without user, query or fragment")
    return written


def listen(value: object) -> tuple[str, int]:
    """Read `host:port`, an IPv6 host in brackets."""
    written = text(value)
    host, _, port = written.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port[:6]) > 65_535:
        raise UnfitError(f'must be a host and a port such as "127.0.0.1:8080", not {written!r}')
    return host.removeprefix("[").removesuffix("]"), int(port)


def timezone(value: object) -> ZoneInfo:
    """Read an IANA name."""
    written = text(value)
    try:
        return ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from zoneinfo import available_timezones

        hint = did_you_mean(written, sorted(available_timezones()))
        raise UnfitError(f"must be an IANA name such as Asia/Shanghai, not {written!r}{hint}") from None


def cron(value: object) -> str:
    """Read a cron expression of five fields that comes true at least once."""
    from cronsim import CronSim, CronSimError

    written = " ".join(text(value).split())
    if len(written.split()) != 5:
        raise UnfitError(f'must have five fields such as "0 9 * * MON-FRI", not {written!r}')
    understood = _UNTIL_SUNDAY.sub("-7", written)
    try:
        slots = CronSim(understood, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise UnfitError(f"is no cron expression: {error} in {written!r}") from None
    if next(chain(slots, [None])) is None:
        raise UnfitError(f"never comes true: {written!r}")
    return understood


def slack_member(value: object) -> str:
    """Read the id of a Slack user or user group, or `*` for everybody."""
    written = text(value)
    if written != "*" and not _SLACK_ID.fullmatch(written):
        raise UnfitError(f"must be the id of a user (U…) or user group (S…), or *, not {written!r}")
    return written


def package_sizes(value: object) -> Mapping[Category, int]:
    """Read how many messages a package of each category has."""
    if not isinstance(value, dict):
        raise UnfitError(f"must be a table such as {{ industry = 10000 }}, not {described(value)}")

    def parse(item: tuple[str, object]) -> tuple[Category, int]:
        if item[0] not in set(Category):
            raise UnfitError(f"is no category{did_you_mean(item[0], Category)}")
        return Category(item[0]), whole(at_least=1, at_most=10**12)(item[1])

    return MappingProxyType(
        dict(parse_elements(parse, ((f".{key}", (key, size)) for key, size in value.items())))
    )


def parse_elements(parse: Callable[[V], T], elements: Iterable[tuple[str, V]]) -> list[T]:
    """Parse each element of a value, given with where it stands in it; all faults are raised at once."""
    parsed: list[T] = []
    unfit: list[tuple[str, UnfitError]] = []
    for at, element in elements:
        try:
            parsed.append(parse(element))
        except UnfitError as error:
            unfit.append((at, error))
    if unfit:
        raise UnfitError.of_elements(unfit)
    return parsed


def database_url(written: str, base: Path) -> str:
    """Read the address of the database, which may hold a password and is never quoted.

    `sqlite:///FILE` is made absolute from `base`; `postgres://` and `postgresql://` get the driver that we use.
    """
    scheme, separator, rest = written.partition("://")
    if separator and scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
        return f"postgresql+psycopg://{rest}"
    file, question_mark, options = rest.partition("?")
    if (
        not separator
        or scheme not in {"sqlite", "sqlite+pysqlite"}
        or not file.startswith("/")
        or file == "/"
    ):
        raise UnfitError("must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")
    if file == "/:memory:":
        raise UnfitError("must name a file: a database in memory forgets what it has told")
    return f"sqlite:///{base / file[1:]}{question_mark}{options}"
