"""Parse an answer of JSMS: its bytes become readings or a fault.

Balances are parsed strictly: a body that differs from the documentation is a SCHEMA fault, never a guess. Errors are
parsed leniently: their text may be HTML, empty or missing. Everything that a message quotes from an answer is cleaned
first: see `clean_foreign`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NoReturn, TypeAlias

from balancebot.domain.balance import UNALLOCATED_EVERYWHERE, Absent, Category, Reading, Readings
from balancebot.domain.sentence import Sentence, clean_text, sentence, without_marks
from balancebot.ports import SourceErrorKind
from balancebot.redact import NO_REDACTOR


class EndpointKind(StrEnum):
    """The two calls of the API. Each accepts only its own kind of key pair."""

    ACCOUNT = "account"
    APP = "app"

    @property
    def path(self) -> str:
        """The call's path below the base URL."""
        return "/v1/accounts/dev" if self is EndpointKind.ACCOUNT else "/v1/accounts/app"

    @property
    def other(self) -> "EndpointKind":
        """The other kind."""
        return EndpointKind.APP if self is EndpointKind.ACCOUNT else EndpointKind.ACCOUNT

    def field(self, category: Category) -> str:
        """Return the name of the answer's field for `category`."""
        prefix = "dev" if self is EndpointKind.ACCOUNT else "app"
        return f"{prefix}_{'balance' if category is Category.UNIVERSAL else category.value}"

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the answer's fields, in the order of `Category`."""
        return _FIELDS[self]


_FIELDS = {kind: tuple(kind.field(category) for category in Category) for kind in EndpointKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One complete HTTP answer. `headers` must be looked up with lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFault:
    """Why a request gave no readings. `message` contains neither the wallet nor the host: the caller adds them."""

    kind: SourceErrorKind
    message: Sentence
    quote: str = ""
    """The error text of the source, cleaned."""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedBalances:
    """The readings of one good answer, and the fields that aren't documented."""

    readings: Readings
    unknown_fields: Mapping[str, object]


Understood: TypeAlias = ParsedBalances | AnswerFault

MAX_READING = 10**15
"""No account has more messages: a larger number means something else, such as 2^63-1 for "no limit"."""
MAX_RETRY_AFTER = timedelta(minutes=15)
"""A longer `Retry-After` is cut to this."""

_SWAPPED = sentence(
    "credentials rejected: most likely the two kinds of key pair are swapped"
    " (an account wants its devKey pair, an app its appKey and masterSecret); otherwise they are wrong or were rotated"
)
_MEANINGS: Mapping[int, tuple[SourceErrorKind, Sentence]] = {
    50001: (SourceErrorKind.CONFIGURATION, sentence("the request came without credentials")),
    50002: (SourceErrorKind.CREDENTIALS, _SWAPPED),
    50008: (SourceErrorKind.PERMISSION, sentence("the SMS service isn't opened for this account")),
    50009: (SourceErrorKind.RATE_LIMITED, sentence("too many requests")),
    50016: (SourceErrorKind.CONFIGURATION, sentence("there is no such call: is base_url right?")),
    50017: (SourceErrorKind.CONFIGURATION, sentence("media type refused: is base_url right?")),
    50018: (SourceErrorKind.CONFIGURATION, sentence("method refused: is base_url right?")),
    50035: (
        SourceErrorKind.PERMISSION,
        sentence("this machine's address isn't on the account's IP allowlist"),
    ),
    50036: (SourceErrorKind.PERMISSION, sentence("the app is in a blacklist")),
}
_QUOTA_NOT_ASSIGNED = 50033
_QUOTED = 2_000
"""How many characters of foreign text are searched for secrets; a message shows far fewer."""


def clean_foreign(text: str, redact: Callable[[str], str], *, at_most: int = 200) -> str:
    """Return foreign `text` on one line, without secrets and unprintable characters, cut to `at_most` characters.

    Secrets are hidden before the text is cut, because half a key is secret too.
    """
    return clean_text(redact(without_marks(text[:_QUOTED])), at_most=at_most)


def parse_answer(
    reply: Reply, kind: EndpointKind, *, now: datetime, redact: Callable[[str], str] = NO_REDACTOR
) -> Understood:
    """Return the readings of an answer to the call of `kind`, or its fault. Raises nothing.

    Code 50033 isn't a fault: every category of the app is unallocated. `now` is needed for a `Retry-After` that is a date
    if the answer has no `Date` header. `redact` hides the key pair in quoted text.
    """
    if reply.status == 200:
        return _readings(reply.body, kind, redact)
    if 200 < reply.status < 300:
        return AnswerFault(
            kind=SourceErrorKind.SCHEMA,
            message=sentence("%(status)s, which is not an answer to this call", status=reply.status),
        )
    if 300 <= reply.status < 400:
        target = _target(reply.headers.get("location", ""), redact)
        return AnswerFault(
            kind=SourceErrorKind.CONFIGURATION,
            message=sentence(
                "%(status)s, a redirect to %(target)s, which is not followed: it would get the key pair, too;"
                " is base_url right?",
                status=reply.status,
                target=target,
            ),
        )
    code, words = _error(reply.body)
    if code == _QUOTA_NOT_ASSIGNED and reply.status == 403 and kind is EndpointKind.APP:
        return ParsedBalances(readings=UNALLOCATED_EVERYWHERE, unknown_fields={})
    fault_kind, meaning = _class(reply.status, code)
    if code is None:
        message = sentence("%(status)s: %(meaning)s", status=reply.status, meaning=meaning)
    else:
        message = sentence(
            "%(status)s, code %(code)s: %(meaning)s", status=reply.status, code=code, meaning=meaning
        )
    return AnswerFault(
        kind=fault_kind,
        message=message,
        quote=clean_foreign(words, redact),
        retry_after=retry_after(reply.headers, now=now),
    )


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Return how long to wait according to `Retry-After`, from 0 to `MAX_RETRY_AFTER`; None if it is missing or invalid.

    It is a number of seconds or an HTTP date; some servers send an instant in seconds or milliseconds since 1970.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        seconds = float(value[:20])
        if seconds >= _LEAST_EPOCH:
            seconds = (seconds / 1000 if seconds >= 1000 * _LEAST_EPOCH else seconds) - now.timestamp()
        wait = timedelta(seconds=min(max(seconds, 0.0), MAX_RETRY_AFTER.total_seconds()))
    else:
        until = _http_date(value)
        if until is None:
            return None
        wait = until - (_http_date(headers.get("date", "")) or now)
    return min(max(wait, timedelta()), MAX_RETRY_AFTER)


_LEAST_EPOCH = 1e9
"""In seconds. A number from this on isn't a wait of 30 years, but an instant counted from 1970."""


def _readings(body: bytes, kind: EndpointKind, redact: Callable[[str], str]) -> Understood:
    try:
        answer = _strict_json(body)
    except (ValueError, RecursionError) as error:
        return _schema(_unlike_json(body, clean_foreign(str(error), redact, at_most=80)))
    if not isinstance(answer, dict):
        return _schema(sentence("200, but not a JSON object"))
    missing = [field for field in kind.fields if field not in answer]
    if missing:
        code, words = _error(body)
        fields, quoted = ", ".join(missing), clean_foreign(words, redact)
        if code is None:
            return _schema(sentence("200 without %(fields)s", fields=fields), quote=quoted)
        return _schema(
            sentence("200 without %(fields)s, but with code %(code)s", fields=fields, code=code), quote=quoted
        )
    readings: list[Reading] = []
    for field in kind.fields:
        value = answer[field]
        if value is None:
            readings.append(Absent.UNALLOCATED)
        elif type(value) is int and 0 <= value <= MAX_READING:
            readings.append(value)
        else:
            shown = clean_foreign(json.dumps(value, ensure_ascii=False), redact, at_most=40)
            return _schema(
                sentence("200 with %(field)s = %(value)s, which is not a balance", field=field, value=shown)
            )
    unknown = {name: value for name, value in answer.items() if name not in kind.fields}
    return ParsedBalances(readings=Readings(*readings), unknown_fields=unknown)


def _schema(message: Sentence, *, quote: str = "") -> AnswerFault:
    return AnswerFault(kind=SourceErrorKind.SCHEMA, message=message, quote=quote)


def _strict_json(body: bytes) -> object:
    """Parse JSON strictly: no NaN, no duplicate names, only UTF-8. Raises ValueError."""
    answer: object = _STRICT.decode(body.decode())
    return answer


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _once_each(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    answer = dict(pairs)
    if len(answer) != len(pairs):
        raise ValueError("a name is given twice")
    return answer


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_once_each)


def _unlike_json(body: bytes, reason: str) -> Sentence:
    start = body[:200].lstrip().lower()
    if not start:
        return sentence("200, but empty (%(reason)s)", reason=reason)
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return sentence("200, but an HTML page (%(reason)s)", reason=reason)
    return sentence("200, but not JSON (%(reason)s)", reason=reason)


def _error(body: bytes) -> tuple[int | None, str]:
    """Return the code (a number, or digits as a string) and the text of an error body; None and '' if it isn't JSON."""
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
        code if type(code) is int and abs(code) < 10**9 else None,
        words if isinstance(words, str) else "",
    )


def _class(status: int, code: int | None) -> tuple[SourceErrorKind, Sentence]:
    """Return the kind and the text of a failure: 5xx by its status, 4xx by its code if that is known."""
    if status < 500 and code is not None and code in _MEANINGS:
        return _MEANINGS[code]
    match status:
        case 401:
            return SourceErrorKind.CREDENTIALS, _SWAPPED
        case 403:
            return SourceErrorKind.PERMISSION, sentence("refused for these credentials or this machine")
        case 407:
            return SourceErrorKind.CONFIGURATION, sentence("the proxy requires a log-in")
        case 408 | 425:
            return SourceErrorKind.SERVER, sentence("a temporary error there")
        case 429:
            return SourceErrorKind.RATE_LIMITED, sentence("too many requests")
        case _ if status >= 500:
            return SourceErrorKind.SERVER, sentence("an error there")
        case _:
            return SourceErrorKind.CONFIGURATION, sentence("the call is refused: is base_url right?")


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value[:100])
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _target(location: str, redact: Callable[[str], str]) -> str:
    """Return the target of a redirect, without the parts that may be secret: user, query and fragment."""
    address = clean_foreign(location.partition("?")[0].partition("#")[0], redact)
    scheme, separator, rest = address.rpartition("//")
    return (scheme + separator + rest.rpartition("@")[2]) or "nowhere"
