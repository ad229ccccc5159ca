"""Long lists in pages of a fixed length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_Row = TypeVar("_Row")

PAGE = 50
"""Rows of a page: at most about 60 KB, which browsers show without delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The number of a page, and of all rows."""

    number: int
    """From 1."""
    num_rows: int | None = None
    """None: not counted; then `more` says whether there is a next page."""
    more: bool

    @property
    def first(self) -> int:
        """The number of the first row on the page, from 1."""
        return (self.number - 1) * PAGE + 1


def page_number(text: str) -> int:
    """Read a page number from an address; anything else is 1."""
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def cut(rows: Sequence[_Row], number: int) -> tuple[Sequence[_Row], Page]:
    """Return the rows of a page; a page after the last one is the last one."""
    page = page_of(len(rows), number)
    start = offset(page.number)
    return rows[start : start + PAGE], page


def page_of(num_rows: int, number: int) -> Page:
    """Return the page `number` of `num_rows` rows; a page after the last one is the last one."""
    last = max(1, -(-num_rows // PAGE))
    number = min(number, last)
    return Page(number=number, num_rows=num_rows, more=number < last)


def offset(number: int) -> int:
    """Return how many rows come before a page."""
    return (number - 1) * PAGE
