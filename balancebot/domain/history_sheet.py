"""Past readings as a CSV file: `observed_at,wallet,category,balance`, in any order of columns.

An empty balance is unallocated; a category without a row at an instant was not read. Rows or faults, never guesses.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from balancebot.domain.balance import MAX_BALANCE, Absent, BalanceKey, Category, Reading, WalletName
from balancebot.domain.spelling import did_you_mean

COLUMNS = ("observed_at", "wallet", "category", "balance")

_COUNT = re.compile(r"\d{1,3}(?:[,' \u00a0\u202f]\d{3})+|\d+")
_CATEGORIES = {category.value: category for category in Category} | {
    "全类型短信": Category.UNIVERSAL,
    "语音短信": Category.VOICE,
    "行业短信": Category.INDUSTRY,
    "营销短信": Category.MARKET,
}
_HEADERS = {name: name for name in COLUMNS} | {"钱包": "wallet", "类型": "category", "余量": "balance"}


class HistoryRow(NamedTuple):
    """One past reading."""

    at: float
    """Epoch seconds."""
    balance: BalanceKey
    reading: Reading
    line: int
    """The header is line 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFault:
    """Why a line can't be taken."""

    line: int
    """The header is line 1."""
    column: str
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{place}: {self.message}"


def read_history(lines: Iterable[str]) -> Iterator[HistoryRow | HistoryFault]:
    """Yield a row or a fault per line, in the order of the file; a wrong header is a fault and ends it."""
    reader = csv.reader(lines)
    header = [cell.strip().removeprefix("\ufeff") for cell in next(reader, [])]
    names = [_HEADERS.get(cell.casefold(), cell) for cell in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        yield from (
            HistoryFault(line=1, column=column, message=f"the column is missing{did_you_mean(column, names)}")
            for column in missing
        )
        return
    places = [names.index(column) for column in COLUMNS]
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a cell of more than 128 KiB: no quote ended it
            yield HistoryFault(line=reader.line_num, column="", message=f"is no CSV: {error}")
            return
        if not any(cells):
            continue
        if len(cells) != len(names):
            yield HistoryFault(
                line=reader.line_num,
                column="",
                message=f"has {len(cells)} cells, the header has {len(names)}",
            )
            continue
        yield _row(reader.line_num, [cells[place].strip() for place in places])


def _row(line: int, cells: list[str]) -> HistoryRow | HistoryFault:
    observed_at, wallet, category, balance = cells
    at = _instant(observed_at)
    if at is None:
        return HistoryFault(
            line=line,
            column="observed_at",
            message=f"{observed_at!r} is no instant with its offset, such as 2026-11-23T09:55:00Z",
        )
    if not wallet:
        return HistoryFault(line=line, column="wallet", message="is empty")
    known = _CATEGORIES.get(category.casefold())
    if known is None:
        return HistoryFault(
            line=line,
            column="category",
            message=f"{category!r} is none of {', '.join(Category)}{did_you_mean(category, Category)}",
        )
    reading = _reading(balance)
    if reading is None:
        return HistoryFault(
            line=line, column="balance", message=f"{balance!r} is no whole number from 0 to 2^63 - 1"
        )
    return HistoryRow(at, BalanceKey(WalletName(wallet), known), reading, line)


def _instant(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None


def _reading(text: str) -> Reading | None:
    if not text:
        return Absent.UNALLOCATED
    if not text.isascii() or not text.isdigit():
        if not _COUNT.fullmatch(text):
            return None
        text = re.sub(r"\D", "", text)
    if len(text) > 19:
        return None
    value = int(text)
    return value if value <= MAX_BALANCE else None
