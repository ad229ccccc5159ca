"""The kinds of value that a key may have. Each reads a value, or reports what the key needs; the docs show its label.

Call a kind with a value: it returns the parsed value or raises `UnfitError`. Values are bounded here, once. A value is
quoted only if its key holds no secret.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from balancebot.config.secrets import ConfigContext, Secret
from balancebot.config.toml_table import MAX_KEY, Parser, UnfitError, described
from balancebot.domain.balance import Category
from balancebot.domain.pattern import Pattern, name_fault
from balancebot.domain.quiet_hours import DailyHours
from balancebot.domain.sentence import Sentence, did_you_mean
from balancebot.domain.verdict import Severity

T = TypeVar("T")
V = TypeVar("V")
E = TypeVar("E", bound=StrEnum)

MAX_TEXT = 1_000
"""The longest text of one key, in characters. Hosts, names, addresses and schedules are much shorter."""

MAX_LIST = 1_000
"""The most elements of one list."""

DURATION = "([0-9]{1,9})([smhd])"
"""A regular expression of a duration such as `36h`."""
_DURATION = re.compile(DURATION)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=36_500)
"""The longest duration of any key."""
_DAILY_HOURS = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])", re.ASCII)
_UNTIL_SUNDAY = re.compile(r"-sun\b", re.IGNORECASE)
"""The end of a range, where Sunday is day 7 and not day 0."""
_MENTION = re.compile(
    r"here|channel|[UWS][A-Z0-9]{2,30}|ou_[a-z0-9]{8,64}|\+?[0-9][0-9-]{5,19}|[a-z]{2,20}:[\w.@-]{1,64}",
    re.ASCII,
)
_CURRENCY = re.compile(r"[A-Z]{3}")
_NO_CONTEXT = ConfigContext(environ={}, base=Path(), resolve=False)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value: its label in the reference, and how it is read."""

    label: str
    read: Callable[[object, ConfigContext], T]
    """Takes the value from TOML. Raises `UnfitError`."""
    is_secret: bool = False

    def __call__(self, value: object) -> T:
        """Read a value that refers to no file or variable. Raises `UnfitError`."""
        return self.read(value, _NO_CONTEXT)


def kind(label: str) -> Callable[[Parser[T]], Kind[T]]:
    """Decorate a parser of values that refer to no file or variable."""

    def decorate(parse: Parser[T]) -> Kind[T]:
        return Kind(label, lambda value, _: parse(value))

    return decorate


def kind_in_context(label: str) -> Callable[[Callable[[object, ConfigContext], T]], Kind[T]]:
    """Decorate a parser of values that name a file or a variable."""

    def decorate(parse: Callable[[object, ConfigContext], T]) -> Kind[T]:
        return Kind(label, parse)

    return decorate


# ---- Texts and numbers


@kind("text")
def text(value: object) -> str:
    """Read one line of text that isn't empty."""
    if not isinstance(value, str):
        raise UnfitError(f"must be a string, not {described(value)}")
    if not value.strip():
        raise UnfitError("is empty")
    if len(value) > MAX_TEXT:
        raise UnfitError(f"is longer than {MAX_TEXT} characters")
    # checked character by character only if necessary: an apps file has a million values
    if not value.isprintable() and any(
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value
    ):
        raise UnfitError("holds a line break or another control character")
    return value


@kind("text, at most 100 characters")
def short_text(value: object) -> str:
    """Read a line of text that fits a cell or a log line."""
    written = text(value)
    if len(written) > 100:
        raise UnfitError("is longer than 100 characters")
    return written


@kind("name")
def name(value: object) -> str:
    """Read the name of an account or an app."""
    if not isinstance(value, str):
        raise UnfitError(f"must be a string, not {described(value)}")
    fault = name_fault(value)
    if fault is not None:
        raise UnfitError(fault)
    return value


def whole(*, at_least: int, at_most: int) -> Kind[int]:
    """Make the kind of whole numbers within both bounds."""

    @kind(f"whole number, {at_least:,} to {at_most:,}")
    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnfitError(f"must be a whole number, not {described(value)}")
        if not at_least <= value <= at_most:
            raise UnfitError(f"must be from {at_least} to {at_most}")
        return value

    return parse


def number(*, at_least: float, at_most: float) -> Kind[float]:
    """Make the kind of numbers within both bounds; `nan` is outside of all bounds."""

    @kind(f"number, {at_least:g} to {at_most:.15g}")
    def parse(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UnfitError(f"must be a number, not {described(value)}")
        if not at_least <= value <= at_most:
            raise UnfitError(f"must be from {at_least:g} to {at_most:g}")
        return float(value)

    return parse


def one_of(choices: type[E]) -> Kind[E]:
    """Make the kind of a closed set of words."""
    words = {choice.value: choice for choice in choices}
    return word_of(words)


def word_of(choices: Mapping[str, V]) -> Kind[V]:
    """Make the kind of words that stand for values."""
    listed = ", ".join(f'"{choice}"' for choice in choices)

    @kind(f"one of {listed}")
    def parse(value: object) -> V:
        if not isinstance(value, str):
            raise UnfitError(f"must be a string, not {described(value)}")
        if value not in choices:
            written = text(value)
            raise UnfitError(f"must be one of {listed}, not {written!r}{did_you_mean(written, choices)}")
        return choices[value]

    return parse


@kind("true or false")
def flag(value: object) -> bool:
    """Read `true` or `false`."""
    if not isinstance(value, bool):
        raise UnfitError(f"must be true or false, not {described(value)}")
    return value


def list_of(element: Kind[T], label: str) -> Kind[tuple[T, ...]]:
    """Make the kind of lists, whose elements `label` names; duplicates are dropped."""

    def parse(value: object, context: ConfigContext) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise UnfitError(f'must be a list such as ["…"], not {described(value)}')
        if len(value) > MAX_LIST:
            raise UnfitError(f"has more than {MAX_LIST} elements")
        elements = ((f"[{index}]", item) for index, item in enumerate(value))
        return tuple(dict.fromkeys(parse_elements(lambda item: element.read(item, context), elements)))

    return Kind(f"list of {label}", parse)


def set_of(element: Kind[T], label: str) -> Kind[frozenset[T]]:
    """Make the kind of lists whose order doesn't matter."""
    members = list_of(element, label)
    return Kind(members.label, lambda value, context: frozenset(members.read(value, context)))


def table_of(element: Kind[T], label: str, example: str) -> Kind[Mapping[str, T]]:
    """Make the kind of inline tables with any keys; `label` describes them."""

    def parse(value: object, context: ConfigContext) -> Mapping[str, T]:
        if not isinstance(value, dict):
            raise UnfitError(f"must be a table such as {example}, not {described(value)}")
        if len(value) > MAX_LIST:
            raise UnfitError(f"has more than {MAX_LIST} entries")

        def parse_entry(entry: tuple[str, object]) -> tuple[str, T]:
            return text(entry[0]), element.read(entry[1], context)

        entries = ((f".{key[:MAX_KEY]!r}", (key, found)) for key, found in value.items())
        return MappingProxyType(dict(parse_elements(parse_entry, entries)))

    return Kind(f"table; {label}: {element.label}", parse)


def parse_elements(parse: Callable[[V], T], elements: Iterable[tuple[str, V]]) -> list[T]:
    """Parse each element of a value, given with its place in it; raise all faults at once."""
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


# ---- Time


def duration(*, at_least: timedelta = timedelta(0), at_most: timedelta = LONGEST) -> Kind[timedelta]:
    """Make the kind of durations such as `30s`, `5m`, `36h`, `7d`."""

    @kind("duration" + (f", at least {shown(at_least)}" if at_least else ""))
    def parse(value: object) -> timedelta:
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            wrong = repr(text(value)) if isinstance(value, str) and value else described(value)
            raise UnfitError(f'must be a duration such as "30s", "5m", "36h" or "7d", not {wrong}')
        try:
            parsed = timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError:
            parsed = timedelta.max
        if parsed > at_most:
            raise UnfitError(f"is {value}: the longest is {shown(at_most)}")
        if parsed < at_least:
            raise UnfitError(f"is {value}: the shortest is {shown(at_least)}")
        return parsed

    return parse


def shown(length: timedelta) -> str:
    """Return a duration as it is written in the file, in its largest whole unit."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@kind("HH:MM-HH:MM")
def daily_hours(value: object) -> DailyHours:
    """Read a daily time range such as `22:00-08:00`."""
    written = text(value)
    found = _DAILY_HOURS.fullmatch(written)
    if found is None:
        raise UnfitError(f'must be two times of day such as "22:00-08:00", not {written!r}')
    start, end = time.fromisoformat(found[1]), time.fromisoformat(found[2])
    if start == end:
        raise UnfitError("begins and ends at the same time")
    return DailyHours(start, end)


@kind("IANA time zone")
def timezone(value: object) -> ZoneInfo:
    """Read the IANA name of a time zone."""
    written = text(value)
    try:
        return ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(written, sorted(available_timezones()))
        raise UnfitError(f"must be an IANA name such as Asia/Shanghai, not {written!r}{hint}") from None


@kind("cron schedule")
def cron(value: object) -> str:
    """Read a cron expression of five fields that matches at least one time."""

    written = " ".join(text(value).split())
    if len(written.split()) != 5:
        raise UnfitError(f'must have five fields such as "0 9 * * MON-FRI", not {written!r}')
    standard = _UNTIL_SUNDAY.sub("-7", written)
    try:
        slots = CronSim(standard, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise UnfitError(f"is no cron expression: {error} in {written!r}") from None
    if next(chain(slots, [None])) is None:
        raise UnfitError(f"never comes true: {written!r}")
    return standard


# ---- Balances and severities

_SEVERITIES = {choice.word: choice for choice in Severity if choice > Severity.OK}

severity = word_of(_SEVERITIES)


@kind("pattern of balances")
def pattern(value: object) -> Pattern:
    """Read a pattern of balances such as `acme/*:market`."""
    parsed = Pattern.parse(text(value))
    if isinstance(parsed, Sentence):
        raise UnfitError(str(parsed))
    return parsed


@kind("ISO 4217 code")
def currency(value: object) -> str:
    """Read the code of a currency."""
    written = text(value)
    if not _CURRENCY.fullmatch(written):
        raise UnfitError(f"must be a code of three capitals such as CNY, not {written!r}")
    return written


def _per(words: Mapping[str, V], word: str, element: Kind[T], example: str) -> Kind[Mapping[V, T]]:
    """Make the kind of inline tables with a value for some of `words`; `word` is what a key is called."""

    def parse(value: object, context: ConfigContext) -> Mapping[V, T]:
        if not isinstance(value, dict):
            raise UnfitError(f"must be a table such as {example}, not {described(value)}")

        def parse_entry(entry: tuple[str, object]) -> tuple[V, T]:
            if entry[0] not in words:
                raise UnfitError(f"is no {word}{did_you_mean(entry[0], words)}")
            return words[entry[0]], element.read(entry[1], context)

        entries = ((f".{key}", (key, found)) for key, found in value.items())
        return MappingProxyType(dict(parse_elements(parse_entry, entries)))

    return Kind(f"table; per {word}: {element.label}", parse)


def per_category(amount: Kind[T], example: str) -> Kind[Mapping[Category, T]]:
    """Make the kind of inline tables with an amount for some of the categories."""
    return _per({category.value: category for category in Category}, "category", amount, example)


def per_severity(element: Kind[T], example: str) -> Kind[Mapping[Severity, T]]:
    """Make the kind of inline tables with a value for some of the severities."""
    return _per(_SEVERITIES, "severity", element, example)


@kind("amount of money, 0 to 1000000")
def price(value: object) -> Decimal:
    """Read an amount of money exactly as it is written, with up to eight decimals."""
    written = number(at_least=0, at_most=1e6)(value)
    amount = Decimal(repr(value))
    if round(amount, 8) != amount:
        raise UnfitError(f"has more than eight decimals: {written!r}")
    return amount


@kind("ids (U…, S…, here, channel, ou_…, phone numbers, kind:id)")
def mention(value: object) -> str:
    """Read an id that a message mentions: an id that shows its channel, or `KIND:ID`."""
    written = text(value)
    if not _MENTION.fullmatch(written):
        raise UnfitError(
            'must be the id of a Slack user (U…) or user group (S…), "here", "channel", a Feishu open id (ou_…), '
            f'a phone number, or an id behind a kind of channel such as "wecom:zhangsan", not {written!r}'
        )
    return written


# ---- Files and folders


@kind_in_context("path of a file")
def existing_file(value: object, context: ConfigContext) -> Path:
    """Read the path of an existing file."""
    path = context.base / text(value)
    if not os.path.isfile(path):  # Path.is_file raises if a folder above can't be entered
        raise UnfitError(f"is no file: {path}")
    return path


@kind_in_context("path of a folder")
def existing_folder(value: object, context: ConfigContext) -> Path:
    """Read the path of an existing folder."""
    path = context.base / text(value)
    if not os.path.isdir(path):
        raise UnfitError(f"is no folder: {path}")
    return path


# ---- Secrets


def secret(check: Callable[[str], object] | None = None, *, label: str = "secret") -> Kind[Secret]:
    """Make the kind of secrets whose value passes `check`, which raises `UnfitError` without quoting it."""
    return Kind(label, lambda value, context: context.read_secret(value, check), is_secret=True)


def at_least_long(characters: int) -> Callable[[str], object]:
    """Make a check that refuses secrets shorter than `characters`."""

    def check(value: str) -> None:
        if len(value) < characters:
            raise UnfitError(f"is shorter than {characters} characters")

    return check
