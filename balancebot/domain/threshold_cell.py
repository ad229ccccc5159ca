"""One cell of a threshold sheet, a form or a command line: what people write, and what it means.

A number is understood the way spreadsheets in English and Chinese write it. What could be read in two ways is refused
in words that say what to write instead.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeAlias

from balancebot.domain.balance import MAX_BALANCE, Category
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.spelling import did_you_mean
from balancebot.domain.threshold import OFF, Count, Days, Off

CATEGORY_WORDS: Final[Mapping[str, Category]] = MappingProxyType(
    {
        **{category.value: category for category in Category},
        "全类型短信": Category.UNIVERSAL,
        "语音短信": Category.VOICE,
        "行业短信": Category.INDUSTRY,
        "营销短信": Category.MARKET,
    }
)
"""The categories as sheets may name them."""

MAX_DAYS: Final = 365
"""A runway is looked for that far ahead, and no further."""
MAX_DAYS_WRITTEN: Final = 36_500
"""Of a limit; what is above `MAX_DAYS` is warned of."""
MAX_NOTE: Final = 1_000
"""A note stands in every alert: longer than this and it wouldn't be read, nor fit."""

_SHOWN: Final = 60
_DECIMALS: Final = 6
"""Of days: a tenth of a second is as near as anybody looks."""
_OFF_WORDS = frozenset({"off", "关闭"})
_INHERIT_WORDS = frozenset({"", "inherit", "继承"})
_NUMBER = re.compile(r"(\+?(?:\d+|\d{1,3}(?:([, '’])\d{3})(?:\2\d{3})*)(?:\.\d+)?) ?(%?)", re.ASCII)
"""A number, its thousands separator, and the percent sign of a cell that is formatted so: 50% is 0.5."""
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d+)?e[+-]?\d+", re.ASCII)
_DOTTED_THOUSANDS = re.compile(r"\+?\d{1,3}\.\d{3}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\+?\d+,\d+", re.ASCII)
_STARTS_WITH_ZERO = re.compile(r"\+?0,\d+", re.ASCII)
_ONE_GROUP = re.compile(r"\+?([1-9]\d{0,2})[.,](\d{3})", re.ASCII)
"""1,500 and 1.500: a fraction or thousands, as the country has it."""


@dataclass(frozen=True, slots=True)
class CellFault:
    """Why a cell can't be taken. The message completes a sentence that begins with its column."""

    message: str


Value: TypeAlias = int | float | Off | str | None


def read_column(column: str, text: str, *, comma_is_decimal: bool = False) -> Value | CellFault:
    """Read the cell of a column that a row can set, one of `thresholds.edit.COLUMNS`.

    Where `comma_is_decimal` may hold, as in a sheet with semicolons, 1,500 is refused with both readings.
    """
    if comma_is_decimal and column != "note" and (found := _ONE_GROUP.fullmatch(_folded(text))):
        fraction = f"{found[1]}.{found[2]}".rstrip("0").rstrip(".")
        return CellFault(f"{quoted(text)} can be read in two ways: write {fraction} or {found[1]}{found[2]}")
    match column:
        case "note":
            return read_note(text)
        case "lead_time_days":
            return _read_lead_time(text)
        case "warning_below" | "critical_below":
            return read_count(text)
        case "warning_days" | "critical_days":
            return read_days(text)
        case _:
            raise ValueError(column)


def read_count(text: str) -> Count | CellFault:
    """Read a limit in messages: a whole number from 0, `off`, or nothing to inherit."""
    value = _read_number(text)
    if not isinstance(value, Decimal):
        return value
    if _DOTTED_THOUSANDS.fullmatch(_folded(text)):
        return CellFault(f"{quoted(text)} can be read in two ways: write thousands as 1,000 or 1000")
    if value != value.to_integral_value():
        return CellFault(f"must be a whole number of messages, not {quoted(text)}")
    if value > MAX_BALANCE:
        return CellFault(f"must be at most {MAX_BALANCE}")
    return int(value)


def read_days(text: str) -> Days | CellFault:
    """Read a limit in days of runway: a number above 0, `off`, or nothing to inherit."""
    value = _read_number(text)
    if not isinstance(value, Decimal):
        return value
    if value > MAX_DAYS_WRITTEN:
        return CellFault(f"must be at most {MAX_DAYS_WRITTEN} days; `off` means no limit")
    days = round(float(value), _DECIMALS)
    return days if days > 0 else CellFault("must be above 0 days; `off` means no limit")


def _read_lead_time(text: str) -> float | CellFault | None:
    value = _read_number(text)
    if value is OFF:
        return CellFault("can't be off: write 0, or nothing to inherit")
    if not isinstance(value, Decimal):
        return value
    if value > MAX_DAYS:
        return CellFault(f"must be from 0 to {MAX_DAYS} days")
    return round(float(value), _DECIMALS)


def read_note(text: str) -> str | CellFault:
    """Read a note: trimmed, its line breaks made alike. An empty one ('') inherits."""
    if _folded(text) in _INHERIT_WORDS:
        return ""
    note = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").strip()
    if len(note) > MAX_NOTE:
        return CellFault(f"has {len(note)} characters: at most {MAX_NOTE}")
    if any(_unfit_for_files(character) for character in note):
        return CellFault("holds a control character")
    return note


def _unfit_for_files(character: str) -> bool:
    return (
        character != "\n" and unicodedata.category(character) in {"Cc", "Cs"}
    ) or character in "\ufffe\uffff"


def read_category(text: str) -> Category | CellFault | None:
    """Read a category's name in English or Chinese, or `*` for all (None)."""
    word = _folded(text)
    if word == "*":
        return None
    if word in CATEGORY_WORDS:
        return CATEGORY_WORDS[word]
    if not word:
        return CellFault(f"is empty: write one of {', '.join(Category)}, or * for all")
    hint = did_you_mean(word, CATEGORY_WORDS) or f": write one of {', '.join(Category)}, or * for all"
    return CellFault(f"there is no category {quoted(text)}{hint}")


def read_wallet(text: str) -> str | CellFault:
    """Read a wallet's name or a pattern of names."""
    wallet, colon, _ = text.partition(":")
    if colon:
        return CellFault(f"holds ':': the category has a place of its own, so write {quoted(wallet)} alone")
    pattern = WalletPattern.parse(text)
    return CellFault(pattern) if isinstance(pattern, str) else pattern.text


def written(value: Value) -> str:
    """Return what a cell of this value holds; nothing for what inherits."""
    if value is None:
        return ""
    if value is OFF:
        return "off"
    if isinstance(value, float):
        return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return str(value)


def quoted(text: str) -> str:
    """Show what somebody wrote, in quotes and made printable; of a long text the beginning."""
    text = text.strip()
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _folded(text: str) -> str:
    """Make full-width digits and signs, the many kinds of space, and letter case alike."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _read_number(text: str) -> Decimal | Off | CellFault | None:
    """Read a number from 0 with any of the usual thousands separators, `off`, or nothing (None)."""
    word = _folded(text)
    if word in _INHERIT_WORDS:
        return None
    if word in _OFF_WORDS:
        return OFF
    if len(word) <= 40 and not _STARTS_WITH_ZERO.fullmatch(word) and (found := _NUMBER.fullmatch(word)):
        number = Decimal(found[1].replace(found[2] or ",", ""))
        return number / 100 if found[3] else number
    shown = quoted(text)
    if word[0] in "-\N{MINUS SIGN}" and word[1:2].isdigit():
        return CellFault(f"{shown} is below 0")
    if _SCIENTIFIC.fullmatch(word):
        return CellFault(f"{shown} may have lost digits: write the number out")
    if _DECIMAL_COMMA.fullmatch(word):
        return CellFault(f"{shown} can be read in two ways: write 1.5 for a fraction, 1,500 for thousands")
    return CellFault(f"must be a number, `off`, or empty to inherit, not {shown}")
