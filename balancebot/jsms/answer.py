"""What JSMS said, in our words: an answer's bytes become readings or a fault, and nothing else.

Strict where a balance is read, lenient where a fault is described: a body that isn't as documented is
a loud SCHEMA fault, never a guess, while the words of an error may come as HTML, empty or not at all.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NoReturn, TypeAlias

from balancebot.domain.balance import MAX_BALANCE, UNALLOCATED_EVERYWHERE, Absent, Category, Reading, Readings
from balancebot.ports import SourceErrorKind


class EndpointKind(StrEnum):
    """Which of the two calls a key pair belongs to; each accepts only its own kind."""

    ACCOUNT = "account"
    APP = "app"

    @property
    def path(self) -> str:
        """The call's path below the base URL."""
        return "/v1/accounts/dev" if self is EndpointKind.ACCOUNT else "/v1/accounts/app"

    @property
    def other(self) -> "EndpointKind":
        """The other one."""
        return EndpointKind.APP if self is EndpointKind.ACCOUNT else EndpointKind.ACCOUNT

    def field(self, category: Category) -> str:
        """Return the name under which the answer holds `category`."""
        prefix = "dev" if self is EndpointKind.ACCOUNT else "app"
        return f"{prefix}_{'balance' if category is Category.UNIVERSAL else category.value}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names under which the answer holds the categories, in their order."""
        return _FIELDS[self]


_FIELDS = {kind: tuple(kind.field(category) for category in Category) for kind in EndpointKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer, read whole. `headers` is asked with lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFault:
    """Why a request gave no readings. `message` names neither the wallet nor the host: the caller does."""

    kind: SourceErrorKind
    message: str
    said: str = ""
    """The source's own words, as they came: not to be shown before they are made plain and free of keys."""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBalances:
    """The readings of one good answer, and what else stood in it."""

    readings: Readings
    unknown_fields: Mapping[str, object]


Understood: TypeAlias = ParsedBalances | AnswerFault

_SWAPPED = (
    "credentials rejected: the likeliest mistake is the two kinds of key pair swapped"
    " (an account wants its devKey pair, an app its appKey and masterSecret); else they are wrong or were rotated"
)
_MEANINGS: Mapping[int, tuple[SourceErrorKind, str]] = {
    50001: (SourceErrorKind.CONFIGURATION, "the request came without credentials"),
    50002: (SourceErrorKind.CREDENTIALS, _SWAPPED),
    50008: (SourceErrorKind.PERMISSION, "the SMS service isn't opened for this account"),
    50009: (SourceErrorKind.RATE_LIMITED, "asked too often"),
    50016: (SourceErrorKind.CONFIGURATION, "no such call there: is base_url right?"),
    50017: (SourceErrorKind.CONFIGURATION, "media type refused: is base_url right?"),
    50018: (SourceErrorKind.CONFIGURATION, "method refused: is base_url right?"),
    50035: (SourceErrorKind.PERMISSION, "this machine's address isn't on the account's IP allowlist"),
    50036: (SourceErrorKind.PERMISSION, "the app is in a blacklist"),
}
_QUOTA_NOT_ASSIGNED = 50033
_LONGEST_WORDS = 200


def parse_answer(reply: Reply, kind: EndpointKind, *, now: datetime) -> Understood:
    """Return the readings of an answer to the call of `kind`, or the fault it tells of.

    Code 50033 is a state: every category of the app is unallocated. `now` dates a `Retry-After` that is a date,
    unless the answer carries a `Date` of its own.
    """
    if reply.status == 200:
        return _figures(reply.body, kind)
    if 200 < reply.status < 300:
        return AnswerFault(
            kind=SourceErrorKind.SCHEMA, message=f"{reply.status}, which is no answer to this call"
        )
    if 300 <= reply.status < 400:
        return AnswerFault(
            kind=SourceErrorKind.CONFIGURATION,
            message=f"{reply.status}, a redirect to {_target(reply.headers.get('location', ''))}, which is not followed:"
            " the key pair would go along; is base_url right?",
        )
    code, words = _error(reply.body)
    if code == _QUOTA_NOT_ASSIGNED and reply.status == 403 and kind is EndpointKind.APP:
        return ParsedBalances(readings=UNALLOCATED_EVERYWHERE, unknown_fields={})
    fault_kind, meaning = _class(reply.status, code)
    status = f"{reply.status}" if code is None else f"{reply.status}, code {code}"
    return AnswerFault(
        kind=fault_kind,
        message=f"{status}: {meaning}",
        said=words,
        retry_after=retry_after(reply.headers, now=now),
    )


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Return how long `Retry-After` (seconds or an HTTP date) asks to stay away; None if it doesn't say."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), 10**8))
    until = _http_date(value)
    if until is None:
        return None
    return max(until - (_http_date(headers.get("date", "")) or now), timedelta())


def plain(text: str, *, at_most: int = _LONGEST_WORDS) -> str:
    """Return foreign `text` on one line, without control and formatting characters, cut to `at_most`."""
    kept = "".join(
        " " if char.isspace() else "" if unicodedata.category(char).startswith("C") else char
        for char in text[: 4 * at_most]
    )
    line = " ".join(kept.split())
    return line if len(line) <= at_most else line[: at_most - 1] + "…"


def _figures(body: bytes, kind: EndpointKind) -> Understood:
    try:
        answer = _strict_json(body)
    except (ValueError, RecursionError) as error:
        return _schema(f"200, but {_looks_like(body)} ({plain(str(error), at_most=80)})")
    if not isinstance(answer, dict):
        return _schema("200, but not a JSON object")
    missing = [field for field in kind.fields if field not in answer]
    if missing:
        code, words = _error(body)
        also = f", but with code {code}" if code is not None else ""
        return _schema(f"200 without {', '.join(missing)}{also}", said=words)
    readings: list[Reading] = []
    for field in kind.fields:
        value = answer[field]
        if value is None:
            readings.append(Absent.UNALLOCATED)
        elif type(value) is int and 0 <= value <= MAX_BALANCE:
            readings.append(value)
        else:
            return _schema(f"200 with {field} = {plain(json.dumps(value), at_most=40)}, which is no balance")
    unknown = {name: value for name, value in answer.items() if name not in kind.fields}
    return ParsedBalances(readings=Readings(*readings), unknown_fields=unknown)


def _schema(message: str, *, said: str = "") -> AnswerFault:
    return AnswerFault(kind=SourceErrorKind.SCHEMA, message=message, said=said)


def _strict_json(body: bytes) -> object:
    """Parse JSON as its standard has it: no NaN, no name twice, UTF-8 only. Raises ValueError."""
    answer: object = _STRICT.decode(body.decode())
    return answer


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _once_each(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    answer = dict(pairs)
    if len(answer) != len(pairs):
        raise ValueError("a name stands twice")
    return answer


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_once_each)


def _looks_like(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "empty"
    return "an HTML page" if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")) else "not JSON"


def _error(body: bytes) -> tuple[int | None, str]:
    """Return the code (a string of digits is one too) and the words of an error body; nothing of one unlike JSON."""
    try:
        answer = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None, ""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return None, ""
    code, words = error.get("code"), error.get("message")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    return (
        code if type(code) is int else None,
        words if isinstance(words, str) else "",
    )


def _class(status: int, code: int | None) -> tuple[SourceErrorKind, str]:
    """Return what a failure is to us: 5xx by its status alone, 4xx by its code where it is a known one."""
    if status < 500 and code is not None and code in _MEANINGS:
        return _MEANINGS[code]
    match status:
        case 401:
            return SourceErrorKind.CREDENTIALS, _SWAPPED
        case 403:
            return SourceErrorKind.PERMISSION, "refused to these credentials or to this machine"
        case 407:
            return SourceErrorKind.CONFIGURATION, "the proxy wants a log-in"
        case 408 | 425:
            return SourceErrorKind.SERVER, "a passing fault there"
        case 429:
            return SourceErrorKind.RATE_LIMITED, "asked too often"
        case _ if status >= 500:
            return SourceErrorKind.SERVER, "a fault there"
        case _:
            return SourceErrorKind.CONFIGURATION, "the call is refused: is base_url right?"


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _target(location: str) -> str:
    """Return where a redirect leads, without what could be a secret: user, query and fragment."""
    address = plain(location.partition("?")[0].partition("#")[0])
    scheme, separator, rest = address.rpartition("//")
    return (scheme + separator + rest.rpartition("@")[2]) or "nowhere"
