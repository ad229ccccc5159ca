"""The base of channels that can only post: one URL, one request per message, and an answer with the result.

A subclass makes the request (`_post_of`) and has a table of the service's error codes. These channels can't search for a
message: a delivery in doubt is sent again, with the same id if the service supports ids.
"""

import hashlib
import hmac
import json
import math
import re
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, TypeAlias

from msgspec import to_builtins

from balancebot.answers import alert_answer
from balancebot.domain.alert import AlertKind
from balancebot.domain.message import Action, AlertMessage, GroupMessage, MessageRef, OutgoingMessage
from balancebot.domain.sentence import sentence
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording, mark
from balancebot.network import TIMEOUT, HttpAnswer, post_json
from balancebot.notify.render import Renderer, stem_of
from balancebot.ports import (
    Capabilities,
    ChannelError,
    ChannelErrorKind,
    Clock,
    Finding,
    parse_retry_after,
)

ErrorTable: TypeAlias = Mapping[int, ChannelErrorKind]
"""The meaning of a service's error codes."""

_HOURS_PER_DAY: Final = 24
_REFUSED: Final = frozenset({401, 403, 404, 410})
_HARMLESS: Final = str.maketrans("[]<>@", "［］＜＞＠")
_CODE: Final = re.compile(r"-?[0-9]{1,12}")
_PHONE: Final = re.compile(r"\+?[0-9][0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedContent:
    """The content of a message as plain text."""

    title: str
    text: str
    link: str
    """The URL of the page about it; '' if there are no pages."""
    link_text: str
    severity: Severity | None
    """The worst severity of its alerts; None if it isn't about alerts, or all have ended."""
    is_over: bool = False
    has_recovered: bool = False

    @property
    def headline(self) -> str:
        """The title with the coloured sign of its severity in front, for chats that can't colour text."""
        if self.severity is None:
            return self.title
        ended = Severity.OK if self.has_recovered else Severity.UNKNOWN
        return f"{mark(ended if self.is_over else self.severity)} {self.title}"


def content_of(outgoing: OutgoingMessage, renderer: Renderer) -> PostedContent:
    """Render a message as title and text. If the text's first line repeats the end of the title, it is dropped."""
    message = outgoing.message
    severity, is_over, has_recovered = None, False, False
    words = renderer.words_for(message)
    link_text = words.gettext("Details ↗")
    match message:
        case AlertMessage():
            severity = message.alert.severity
            is_over, has_recovered = not message.is_open, message.alert.has_recovered
            if message.is_open and not message.alert.acknowledged_by:
                link_text = words.gettext("Open and acknowledge ↗")
        case GroupMessage():
            severity = max((item.alert.severity for item in message.members if item.is_open), default=None)
            is_over = severity is None
            has_recovered = all(item.alert.has_recovered for item in message.members)
        case _:
            pass
    title = " ".join(renderer.render(f"email/{stem_of(message)}.subject.j2", message).split())
    text = renderer.render(f"chat/{stem_of(message)}.j2", message)
    lead, _, rest = text.partition("\n")
    return PostedContent(
        title=title,
        text=rest.lstrip("\n") if rest and title.endswith(lead) else text,
        link=renderer.link_of(message),
        link_text=link_text,
        severity=severity,
        is_over=is_over,
        has_recovered=has_recovered,
    )


def data_of_alert(message: AlertMessage, words: Wording) -> dict[str, Any]:
    """Return an alert with the fields of `alerts list --json`, and its balance with those of `status --json`.

    The balance is as it was when the alert was judged. Fields about the present, such as the next reading, are null.
    """
    measured, context, alert = message.measurement, message.context, message.alert
    kind, category = alert.subject.kind, alert.subject.category
    runway, limits = measured.runway, alert.limits
    answered: dict[str, Any] = to_builtins(alert_answer(message, message, words, closed=True))
    balance = {
        "state": "known" if isinstance(measured.reading, int) else str(measured.reading.value),
        "balance": measured.reading if isinstance(measured.reading, int) else None,
        "observed_at": instant_text(measured.observed_at),
        "stale": kind is AlertKind.STALE and message.is_open,
        "next_read_at": None,
        "next_read_reason": None,
        "next_read_category": None,
        "burn_per_day": measured.burn_per_day,
        "usual_burn_per_day": None if measured.not_counted else measured.burn_per_day,
        "not_counted": measured.not_counted,
        "runway_days": None
        if runway is None
        else {
            "p10": _days(runway.p10),
            "p50": _days(runway.p50),
            "p90": _days(runway.p90),
            "judged": _days(runway.judged),
        },
        "depletes_at": instant_text(measured.depletes_at),
        "limits": {
            "warning_below": limits.warning_below,
            "critical_below": limits.critical_below,
            "warning_days": limits.warning_days,
            "critical_days": limits.critical_days,
        },
        "alert": answered["id"] if message.is_open and kind is AlertKind.LOW_BALANCE else None,
        "movable": 0 if context.advice is None else context.advice.move,
        "spike": answered["id"] if message.is_open and kind is AlertKind.BURN_SPIKE else None,
        "wallet_alert": answered["id"] if message.is_open and category is None else None,
    }
    return {**balance, **answered, "note": context.note or None}


def _days(hours: float) -> float | None:
    return hours / _HOURS_PER_DAY if math.isfinite(hours) else None


def instant_text(at: datetime | None) -> str | None:
    """Return an instant as in JSON, to the second in UTC."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def ids_of(kind: str, outgoing: OutgoingMessage) -> list[str]:
    """Return the ids in `mentions` that have this channel's kind as a prefix, without it: `wecom:zhangsan`."""
    return [id_.removeprefix(f"{kind}:") for id_ in outgoing.mentions if id_.startswith(f"{kind}:")]


def phones_of(outgoing: OutgoingMessage) -> list[str]:
    """Return the phone numbers in `mentions` as the services expect them: digits, with the country code if it is given."""
    return [id_.replace("-", "") for id_ in outgoing.mentions if _PHONE.fullmatch(id_)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class OneWayChannel(ABC):
    """A channel that only sends: it can't search for its messages or delete them, and can't be checked without sending."""

    capabilities = Capabilities()
    name: str
    """Its configured name."""

    @abstractmethod
    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Send a message; see `Channel`."""

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        """Return the error that it can't search."""
        del outgoing, after
        return ChannelError(
            kind=ChannelErrorKind.REJECTED, message=sentence("this channel can't look for its messages")
        )

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Return the error that it can't delete."""
        del ref
        return ChannelError(
            kind=ChannelErrorKind.REJECTED, message=sentence("this channel can't delete a message")
        )

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Return the finding that it can't be checked without sending."""
        del destinations
        words = f"can't be tried without posting: balancebot notify test --channel {self.name}"
        return [Finding(ok=None, words=words)]

    def close(self) -> None:  # noqa: B027 -- no connection is kept
        """Do nothing: no connection is kept between messages."""


def claim_lost() -> ChannelError:
    """Return the error of a delivery that another worker has taken over."""
    return ChannelError(
        kind=ChannelErrorKind.LEASE_LOST, message=sentence("the claim on this delivery has run out")
    )


class PostingChannel(OneWayChannel):
    """A channel that posts to one URL. The URL is a secret: no error contains it."""

    code_keys: ClassVar[tuple[str, ...]] = ()
    """The JSON keys of the error code in an answer, which is 0 on success. Empty: only the HTTP status counts."""
    words_keys: ClassVar[tuple[str, ...]] = ()
    """The JSON keys of the error text."""
    errors: ClassVar[ErrorTable] = {}
    """Codes that aren't in it mean that the message is rejected."""
    pause: ClassVar[timedelta] = timedelta(minutes=1)
    """How long to wait after the service's error for too many messages."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        secret: str | None,
        renderer: Renderer,
        clock: Clock,
        timeout: timedelta = TIMEOUT,
    ) -> None:
        """`name` is the configured one; messages are signed with `secret`."""
        self.name = name
        self._url = url
        self._secret = secret
        self._renderer = renderer
        self._clock = clock
        self._timeout = timeout

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Post the message; edits are ignored. The ref is empty, because messages can't be replied to."""
        if outgoing.action is Action.EDIT:
            return MessageRef(channel_id="", message_id="")
        post = self._post_of(outgoing, self._clock.now())
        return self._send(post, holds_claim) or MessageRef(channel_id="", message_id="")

    def _send(self, post: Post, holds_claim: Callable[[], bool]) -> ChannelError | None:
        if not holds_claim():
            return claim_lost()
        answer = post_json(
            post.url, post.body, service=self.name, proxy=None, within=self._timeout, headers=post.headers
        )
        return answer if isinstance(answer, ChannelError) else self._error_in(answer)

    @abstractmethod
    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        """Make the request that sends a message."""

    def _error_in(self, answer: HttpAnswer) -> ChannelError | None:
        document = _object(answer.text)
        codes = (_code_of(document.get(key)) for key in self.code_keys)
        code = next((code for code in codes if code is not None), None)
        taken = 200 <= answer.status < 300
        if answer.status == 429:
            return ChannelError(
                kind=ChannelErrorKind.RATE_LIMITED,
                message=sentence("%(channel)s asks for fewer messages", channel=self.name),
                retry_after=parse_retry_after(answer.headers.get("Retry-After")),
            )
        if code:
            words = next((document[key] for key in self.words_keys if document.get(key)), "")
            return self._refusal(code, words)
        if taken and code is None and (self.code_keys or _is_page(answer.text)):
            return self._doubt(answer)
        return None if taken else self._error_of_status(answer)

    def _doubt(self, answer: HttpAnswer) -> ChannelError:
        """Return the error of an answer that doesn't come from the service, but from a gateway or a log-in page."""
        return ChannelError(
            kind=ChannelErrorKind.IN_DOUBT,
            message=sentence(
                "%(channel)s answers HTTP %(status)s, but not in its own words: a proxy or a log-in page may be in "
                "between",
                channel=self.name,
                status=answer.status,
            ),
        )

    def _error_of_status(self, answer: HttpAnswer) -> ChannelError:
        kind = ChannelErrorKind.SERVER if answer.status >= 500 else ChannelErrorKind.REJECTED
        return ChannelError(
            kind=ChannelErrorKind.AUTH if answer.status in _REFUSED else kind,
            message=sentence(
                "%(channel)s answers HTTP %(status)s: %(said)s",
                channel=self.name,
                status=answer.status,
                said=answer.text,
            ),
        )

    def _refusal(self, code: int, words: object) -> ChannelError:
        kind = self.errors.get(code, ChannelErrorKind.REJECTED)
        return ChannelError(
            kind=kind,
            message=sentence("%(host)s answers %(said)s", host=self.name, said=f"{code} {words}"),
            retry_after=self.pause if kind is ChannelErrorKind.RATE_LIMITED else None,
        )


def signed(key: bytes, text: bytes) -> str:
    """Return the HMAC-SHA256 of `text` in base64."""
    return b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode("ascii")


def as_json(document: object) -> bytes:
    """Return a document as JSON in UTF-8. Characters aren't escaped, which keeps it short."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def cut_to_bytes(text: str, at_most: int) -> str:
    """Return `text` cut to at most `at_most` bytes in UTF-8, between characters."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= at_most:
        return text
    return encoded[: at_most - 3].decode("utf-8", "ignore") + "…"


def without_markdown(text: str) -> str:
    """Return `text` changed so that it can't make links or mentions in the Markdown of these services."""
    return text.translate(_HARMLESS)


def _is_page(text: str) -> bool:
    return text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))


def _code_of(value: object) -> int | None:
    """Read an error code; a gateway that rewrites JSON may have made a text or a fraction of it."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if _CODE.fullmatch(value.strip()):
            return int(value)
        case _:
            return None


def _object(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
