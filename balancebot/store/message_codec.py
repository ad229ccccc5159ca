"""Facts as JSON text and back, with the name of their type, so that a notification can be told later as it was decided.

What an older version wrote still loads: a field that it didn't know takes its default, one that is no more is ignored.
"""

import json
import math
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, TypeAlias, Union, get_args, get_origin, get_type_hints

from balancebot.domain.message import (
    AlertFacts,
    ChannelFailureFacts,
    DigestFacts,
    Facts,
    GroupFacts,
    TestFacts,
)

_TYPES: dict[str, type[Facts]] = {
    kind.__name__: kind for kind in (AlertFacts, GroupFacts, DigestFacts, TestFacts, ChannelFailureFacts)
}
_Decode: TypeAlias = Callable[[Any], Any]


def encode_facts(facts: Facts) -> str:
    """Return `facts` as one line of JSON: enums by value, instants in UTC, no end in sight as "inf"."""
    return json.dumps({"type": type(facts).__name__, **_encoded(facts)}, ensure_ascii=False, allow_nan=False)


def decode_facts(text: str) -> Facts:
    """Return the facts that `encode` wrote, now or in an older version; raises ValueError for anything else."""
    document = json.loads(text)
    try:
        kind: Any = _TYPES[document["type"]]
    except (KeyError, TypeError):
        raise ValueError("not the facts of a notification") from None
    facts: Facts = _decoder(kind)(document)
    return facts


_PLAIN = frozenset({bool, int, NoneType, str})


def _encoded(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    match value:
        case IntEnum():
            return value.name.lower()
        case Enum():
            return value.value
        case datetime():
            return value.astimezone(UTC).isoformat()
        case float() if math.isinf(value):
            return "inf"
        case tuple():
            return [_encoded(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: _encoded(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


@cache
def _decoder(hint: Any) -> _Decode:
    """Return what turns JSON into a value of the annotated type."""
    origin = get_origin(hint)
    if isinstance(hint, NewType):
        return _decoder(hint.__supertype__)
    if origin is Union or origin is UnionType:
        return _union_decoder(get_args(hint))
    if origin is tuple:
        return _tuple_decoder(get_args(hint))
    if is_dataclass(hint):
        return _dataclass_decoder(hint)
    if issubclass(hint, IntEnum):
        return lambda value: hint[value.upper()]
    if issubclass(hint, (Enum, float)):
        construct: _Decode = hint
        return construct
    if hint is datetime:
        return datetime.fromisoformat
    return lambda value: value


def _union_decoder(members: tuple[Any, ...]) -> _Decode:
    """Of the unions in use at most one member is written as text and at most one as anything else."""
    concrete = [member for member in members if member is not NoneType]
    texts = [member for member in concrete if isinstance(member, type) and issubclass(member, Enum)]
    as_text = _decoder((texts or concrete)[0])
    otherwise = _decoder(next((member for member in concrete if member not in texts), concrete[0]))

    def decode_member(value: Any) -> Any:
        if value is None:
            return None
        return as_text(value) if isinstance(value, str) else otherwise(value)

    return decode_member


def _tuple_decoder(items: tuple[Any, ...]) -> _Decode:
    if items[-1] is Ellipsis:
        decode_item = _decoder(items[0])
        return lambda value: tuple(decode_item(item) for item in value)
    decoders = [_decoder(item) for item in items]
    return lambda value: tuple(decode(item) for decode, item in zip(decoders, value, strict=True))


def _dataclass_decoder(kind: Any) -> _Decode:
    hints = get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind) if field.init}
    needed = {
        field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING
    }

    def decode_fields(document: Any) -> Any:
        missing = needed - document.keys()
        if missing:
            raise ValueError(f"{kind.__name__} without {', '.join(sorted(missing))}")
        return kind(**{name: decode(document[name]) for name, decode in decoders.items() if name in document})

    return decode_fields
