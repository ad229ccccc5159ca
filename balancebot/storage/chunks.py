"""Long lists in pieces: a statement holds a bounded number of parameters (32,766 on SQLite)."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

_SIZE = 5_000


def chunked(values: Collection[T], size: int = _SIZE) -> Iterator[Sequence[T]]:
    """Yield `values` in pieces that one `IN (…)` can hold; nothing for none."""
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
