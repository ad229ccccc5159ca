"""Long lists in pages of a fixed length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_Row = TypeVar("_Row")

PAGE = 50
"""Rows of a page: about 60 KB at most, and no stutter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which page is shown of how many rows."""

    number: int
    """From 1."""
    num_rows: int | None = None
    """None: not counted; `more` tells whether there is a next page."""
    more: bool

    @property
    def first(self) -> int:
        """The number of the first row shown, from 1."""
        return (self.number - 1) * PAGE + 1


def page_number(text: str) -> int:
    """Read a page's number from an address; anything else is the first."""
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def cut(rows: Sequence[_Row], number: int) -> tuple[Sequence[_Row], Page]:
    """Return the rows of a page, of all that there are; a page beyond the last is the last."""
    page = page_of(len(rows), number)
    start = offset(page.number)
    return rows[start : start + PAGE], page


def page_of(num_rows: int, number: int) -> Page:
    """Return the page of so many rows that is asked for; beyond the last it is the last."""
    last = max(1, -(-num_rows // PAGE))
    number = min(number, last)
    return Page(number=number, num_rows=num_rows, more=number < last)


def offset(number: int) -> int:
    """Return how many rows come before a page."""
    return (number - 1) * PAGE
