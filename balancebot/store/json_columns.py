"""Columns that hold values as JSON: messages, each with the tag of its type, and parts of alerts.

msgspec derives the JSON from the dataclasses. What an older version wrote still loads: a field that it didn't know takes
its default, and one that is no more is ignored. Whatever goes beyond that is the business of a migration.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    Message,
    TestMessage,
)

_TAGS: Final[dict[type[Message], str]] = {
    AlertMessage: "alert",
    GroupMessage: "group",
    DigestMessage: "digest",
    TestMessage: "test",
    ChannelFailureMessage: "channel_failure",
}
_TYPES: Final[dict[str, Any]] = {tag: kind for kind, tag in _TAGS.items()}


class _Tagged(msgspec.Struct, frozen=True):
    """How a message is stored."""

    type: str
    message: msgspec.Raw


def encode_message(message: Message) -> str:
    """Return one line of JSON: `{"type": "alert", "message": {…}}`."""
    tagged = _Tagged(_TAGS[type(message)], msgspec.Raw(msgspec.json.encode(message)))
    return msgspec.json.encode(tagged).decode()


def decode_message(text: str) -> Message:
    """Return the message that `encode_message` wrote, now or in an older version; raises ValueError for anything else."""
    tagged = msgspec.json.decode(text, type=_Tagged)
    if tagged.type not in _TYPES:
        raise ValueError(f"there is no message of type {tagged.type!r}")
    message: Message = _decoder(_TYPES[tagged.type]).decode(tagged.message)
    return message


class MessageColumn(TypeDecorator[Message]):
    """A message of any type."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Message | None], str | None]:  # noqa: ARG002
        """Return what makes a column's value of a message."""
        return lambda message: None if message is None else encode_message(message)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Message | None]:  # noqa: ARG002
        """Return what makes a message of a column's value."""
        return lambda text: None if text is None else decode_message(text)


class JsonColumn(TypeDecorator[Any]):
    """A value of one type that msgspec knows."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        """Take the type: a dataclass, or an annotation such as `tuple[str, ...]`."""
        super().__init__()
        self.kind = kind

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Return what makes a column's value of a value."""
        return lambda value: msgspec.json.encode(value).decode()

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str], Any]:  # noqa: ARG002
        """Return what makes a value of a column's value."""
        return _decoder(self.kind).decode


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder[Any](kind)
