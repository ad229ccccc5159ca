"""What the channels share that can only post: one address, one request for a message, and an answer that says all.

A subclass makes the request (`_post_of`) and reads the service's own errors (`_service_error`). None of them can look
for a message: what is in doubt is sent again, with the same id where the service knows ids.
"""

import hashlib
import hmac
import json
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from balancebot.domain.message import (
    Action,
    AlertMessage,
    DigestMessage,
    GroupMessage,
    MessageRef,
    OutgoingMessage,
)
from balancebot.domain.sentence import clean_text, sentence
from balancebot.domain.verdict import Severity
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

_DIGEST_LINES: Final = 12
"""How much of a digest a chat shows: the worst; the rest is behind the link."""
_REFUSED: Final = frozenset({401, 403, 404, 410})


_HARMLESS: Final = str.maketrans("[]<>@", "［］＜＞＠")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedContent:
    """What a message says, as plain text."""

    title: str
    text: str
    link: str
    """To the page behind it; '' where there are no pages."""
    severity: Severity | None
    """The worst that it tells of; None where it tells of no alert."""
    is_over: bool = False
    has_recovered: bool = False


def content_of(outgoing: OutgoingMessage, renderer: Renderer) -> PostedContent:
    """Render a message as title and text."""
    message = outgoing.message
    title = " ".join(renderer.render(f"email/{stem_of(message)}.subject.j2", message).split())
    text = renderer.render(f"email/{stem_of(message)}.txt.j2", message)
    link = renderer.link_of(message)
    match message:
        case AlertMessage():
            return PostedContent(
                title=title,
                text=text,
                link=link,
                severity=message.alert.severity,
                is_over=not message.is_open,
                has_recovered=message.alert.has_recovered,
            )
        case GroupMessage():
            worst = max((member.alert.severity for member in message.members), default=None)
            return PostedContent(title=title, text=text, link=link, severity=worst)
        case DigestMessage():
            text = "\n".join(text.splitlines()[:_DIGEST_LINES])
            return PostedContent(title=title, text=text, link=link, severity=None)
        case _:
            return PostedContent(title=title, text=text, link=link, severity=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class PostingChannel(ABC):
    """A channel with one address that takes posts. `url` is a secret: no error names it."""

    capabilities = Capabilities()

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
        """`name` is the configured one; `secret` signs what is sent."""
        self.name = name
        self._url = url
        self._secret = secret
        self._renderer = renderer
        self._clock = clock
        self._timeout = timeout

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Post; an edit is nothing here. Nothing can be answered, so the ref is empty."""
        if outgoing.action is Action.EDIT:
            return MessageRef(channel_id="", message_id="")
        post = self._post_of(outgoing, self._clock.now())
        if not holds_claim():
            return ChannelError(
                kind=ChannelErrorKind.LEASE_LOST, message=sentence("the claim on this delivery has run out")
            )
        answer = post_json(
            post.url, post.body, service=self.name, proxy=None, within=self._timeout, headers=post.headers
        )
        error = answer if isinstance(answer, ChannelError) else self._error_in(answer)
        return error or MessageRef(channel_id="", message_id="")

    @abstractmethod
    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        """Make the request that sends a message."""

    def _service_error(self, document: Mapping[str, Any]) -> ChannelError | None:
        """Read an answer of status 200; None when the message was taken."""
        del document
        return None

    def _error_in(self, answer: HttpAnswer) -> ChannelError | None:
        status = answer.status
        if 200 <= status < 300:
            document = _object(answer.text)
            return self._service_error(document)
        if status == 429:
            return ChannelError(
                kind=ChannelErrorKind.RATE_LIMITED,
                message=sentence("%(channel)s asks for fewer messages", channel=self.name),
                retry_after=parse_retry_after(answer.headers.get("Retry-After")),
            )
        kind = ChannelErrorKind.SERVER if status >= 500 else ChannelErrorKind.REJECTED
        kind = ChannelErrorKind.AUTH if status in _REFUSED else kind
        return ChannelError(
            kind=kind,
            message=sentence(
                "%(channel)s answers HTTP %(status)s: %(said)s",
                channel=self.name,
                status=status,
                said=clean_text(answer.text, at_most=80),
            ),
        )

    def _refusal(
        self, kind: ChannelErrorKind, code: object, words: object, *, wait: timedelta | None = None
    ) -> ChannelError:
        said = clean_text(f"{code} {words or ''}", at_most=120)
        return ChannelError(
            kind=kind,
            message=sentence("%(host)s answers %(said)s", host=self.name, said=said),
            retry_after=wait,
        )

    def find(self, outgoing: OutgoingMessage, *, since: datetime) -> Sequence[MessageRef] | ChannelError:
        """Say that it can't look."""
        del outgoing, since
        return ChannelError(
            kind=ChannelErrorKind.REJECTED, message=sentence("this channel can't look for its messages")
        )

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Say that it can't delete."""
        del ref
        return ChannelError(
            kind=ChannelErrorKind.REJECTED, message=sentence("this channel can't delete a message")
        )

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Say that it can't be tried."""
        del destinations
        words = f"can't be tried without posting: balancebot notify test --channel {self.name}"
        return [Finding(ok=None, words=words)]

    def close(self) -> None:  # noqa: B027 -- nothing is open, in any of them
        """Nothing is held open between messages."""


def signed(key: bytes, text: bytes) -> str:
    """Return the HMAC-SHA256 of `text` in base64."""
    return b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode("ascii")


def as_json(document: object) -> bytes:
    """Return a document as JSON in UTF-8; characters stand for themselves, which keeps it short."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def cut_to_bytes(text: str, at_most: int) -> str:
    """Return `text` with no more than `at_most` bytes in UTF-8, cut between characters."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= at_most:
        return text
    return encoded[: at_most - 3].decode("utf-8", "ignore") + "…"


def without_markdown(text: str) -> str:
    """Return `text` so that it makes no link and mentions nobody in a Markdown of these services."""
    return text.translate(_HARMLESS)


def _object(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
