"""Read and write one value of a threshold row, as in a sheet's cell, a form's field or a command's option.

Numbers are read by `number_text.py`.
"""

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeAlias

from balancebot.domain.balance import Category
from balancebot.domain.number_text import as_count, folded, quoted, read_number
from balancebot.domain.pattern import WalletPattern
from balancebot.domain.runway import NO_END_DAYS
from balancebot.domain.sentence import Sentence, did_you_mean, sentence
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
"""The names of categories that sheets may contain."""

MAX_NOTE: Final = 1_000
"""In characters. A note is shown in every alert: a longer one wouldn't be read and might not fit."""

_DECIMALS: Final = 6
"""Of days: precise to a tenth of a second."""
LEAST_DAYS: Final = 10**-_DECIMALS
_OFF_WORDS = frozenset({"off", "关闭"})
_INHERIT_WORDS = frozenset({"", "inherit", "继承"})
Value: TypeAlias = int | float | Off | str | None
"""The value of a cell. Instead of an invalid one, a `Sentence` says what is wrong; the column's name goes before it."""


def read_column(column: str, text: str, *, comma_is_decimal: bool = False) -> Value | Sentence:
    """Read a cell of the given column, one of `thresholds.edit.COLUMNS`.

    `comma_is_decimal` is for sheets with semicolons; see `read_number`.
    """
    match column:
        case "note":
            return read_note(text)
        case "lead_time_days":
            return _read_lead_time(text, comma_is_decimal)
        case "warning_below" | "critical_below":
            return read_count(text, comma_is_decimal=comma_is_decimal)
        case "warning_days" | "critical_days":
            return read_days(text, comma_is_decimal=comma_is_decimal)
        case _:
            raise ValueError(column)


def read_count(text: str, *, comma_is_decimal: bool = False) -> Count | Sentence:
    """Read a limit in messages: a whole number from 0, `off`, or nothing to inherit."""
    value = _read_limit(text, is_count=True, comma_is_decimal=comma_is_decimal)
    return as_count(value, text) if isinstance(value, Decimal) else value


def read_days(text: str, *, comma_is_decimal: bool = False) -> Days | Sentence:
    """Read a limit in days of runway: a number above 0, `off`, or nothing to inherit."""
    value = _read_limit(text, comma_is_decimal=comma_is_decimal)
    if not isinstance(value, Decimal):
        return value
    if value > NO_END_DAYS:
        # no runway is estimated beyond that
        return sentence("must be at most %(most)s days; `off` means no limit", most=NO_END_DAYS)
    days = round(float(value), _DECIMALS)
    return days if days > 0 else sentence("must be above 0 days; `off` means no limit")


def _read_lead_time(text: str, comma_is_decimal: bool) -> float | Sentence | None:
    value = _read_limit(text, comma_is_decimal=comma_is_decimal)
    if value is OFF:
        return sentence("can't be off: write 0, or leave it empty to inherit")
    if not isinstance(value, Decimal):
        return value
    if value > NO_END_DAYS:
        return sentence("must be from 0 to %(most)s days", most=NO_END_DAYS)
    return round(float(value), _DECIMALS)


_STEERS_DIRECTION = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Bidirectional controls: characters that can show the text after them in reverse order."""


def read_note(text: str) -> str | Sentence:
    """Read a note: strip it and convert its line breaks to `\\n`. An empty one ('') inherits."""
    if folded(text) in _INHERIT_WORDS:
        return ""
    note = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").strip()
    if len(note) > MAX_NOTE:
        return sentence(
            "has %(count)s characters: at most %(most)s are allowed", count=len(note), most=MAX_NOTE
        )
    if any(_unfit_for_files(character) for character in note):
        return sentence("contains a control character")
    return note


def _unfit_for_files(character: str) -> bool:
    return (
        (character != "\n" and unicodedata.category(character) in {"Cc", "Cs"})
        or unicodedata.bidirectional(character) in _STEERS_DIRECTION
        or character in "\ufffe\uffff"
    )


def read_category(text: str) -> Category | Sentence | None:
    """Read a category's name in English or Chinese, or `*` for all (None)."""
    word = folded(text)
    if word == "*":
        return None
    if word in CATEGORY_WORDS:
        return CATEGORY_WORDS[word]
    if not word:
        return sentence("is empty: write one of %(names)s, or * for all", names=", ".join(Category))
    if hint := did_you_mean(word, CATEGORY_WORDS):
        return sentence("there is no category %(text)s%(hint)s", text=quoted(text), hint=hint)
    return sentence(
        "there is no category %(text)s: write one of %(names)s, or * for all",
        text=quoted(text),
        names=", ".join(Category),
    )


def read_wallet(text: str) -> str | Sentence:
    """Read a wallet's name or a pattern of names."""
    wallet, colon, _ = text.partition(":")
    if colon:
        return sentence(
            "contains ':': the category has its own field, so write only %(name)s", name=quoted(wallet)
        )
    pattern = WalletPattern.parse(text)
    return pattern if isinstance(pattern, Sentence) else pattern.text


def written(value: Value) -> str:
    """Return the text of a cell with this value; '' for an inherited one."""
    if value is None:
        return ""
    if value is OFF:
        return "off"
    if isinstance(value, float):
        return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return str(value)


def _read_limit(
    text: str, *, is_count: bool = False, comma_is_decimal: bool = False
) -> Decimal | Off | Sentence | None:
    """Read a number from 0, `off`, or nothing (None)."""
    word = folded(text)
    if word in _INHERIT_WORDS:
        return None
    if word in _OFF_WORDS:
        return OFF
    value = read_number(text, is_count=is_count, comma_is_decimal=comma_is_decimal)
    if value is None:
        return sentence("must be a number, `off` or `inherit`, not %(text)s", text=quoted(text))
    return value
