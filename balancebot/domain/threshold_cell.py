"""One cell of a threshold sheet, a form or a command line: what people write, and what it means.

A number is understood the way spreadsheets in English and Chinese write it. What could be read in two ways is refused
in words that say what to write instead.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, TypeAlias

from balancebot.domain.balance import MAX_BALANCE, Category
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
"""The categories as sheets may name them."""

MAX_DAYS: Final = 36_500
"""Of a limit; what is above `NO_END_DAYS` is warned of."""
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


Value: TypeAlias = int | float | Off | str | None
"""What a cell holds. Where it can't be taken, a sentence that begins with its column says why."""


def read_column(column: str, text: str, *, comma_is_decimal: bool = False) -> Value | Sentence:
    """Read the cell of a column that a row can set, one of `thresholds.edit.COLUMNS`.

    Where `comma_is_decimal` may hold, as in a sheet with semicolons, 1,500 is refused with both readings.
    """
    if comma_is_decimal and column != "note" and (found := _ONE_GROUP.fullmatch(_folded(text))):
        fraction = f"{found[1]}.{found[2]}".rstrip("0").rstrip(".")
        return sentence(
            "%(text)s can be read in two ways: write %(one)s or %(other)s",
            text=quoted(text),
            one=fraction,
            other=found[1] + found[2],
        )
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


def read_count(text: str) -> Count | Sentence:
    """Read a limit in messages: a whole number from 0, `off`, or nothing to inherit."""
    value = _read_number(text)
    if not isinstance(value, Decimal):
        return value
    if _DOTTED_THOUSANDS.fullmatch(_folded(text)):
        return sentence(
            "%(text)s can be read in two ways: write thousands as 1,000 or 1000", text=quoted(text)
        )
    if value != value.to_integral_value():
        return sentence("must be a whole number of messages, not %(text)s", text=quoted(text))
    if value > MAX_BALANCE:
        return sentence("must be at most %(most)s", most=MAX_BALANCE)
    return int(value)


def read_days(text: str) -> Days | Sentence:
    """Read a limit in days of runway: a number above 0, `off`, or nothing to inherit."""
    value = _read_number(text)
    if not isinstance(value, Decimal):
        return value
    if value > MAX_DAYS:
        return sentence("must be at most %(most)s days; `off` means no limit", most=MAX_DAYS)
    days = round(float(value), _DECIMALS)
    return days if days > 0 else sentence("must be above 0 days; `off` means no limit")


def _read_lead_time(text: str) -> float | Sentence | None:
    value = _read_number(text)
    if value is OFF:
        return sentence("can't be off: write 0, or leave it empty to inherit")
    if not isinstance(value, Decimal):
        return value
    if value > NO_END_DAYS:
        return sentence("must be from 0 to %(most)s days", most=NO_END_DAYS)
    return round(float(value), _DECIMALS)


def read_note(text: str) -> str | Sentence:
    """Read a note: trimmed, its line breaks made alike. An empty one ('') inherits."""
    if _folded(text) in _INHERIT_WORDS:
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
        character != "\n" and unicodedata.category(character) in {"Cc", "Cs"}
    ) or character in "\ufffe\uffff"


def read_category(text: str) -> Category | Sentence | None:
    """Read a category's name in English or Chinese, or `*` for all (None)."""
    word = _folded(text)
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


def _read_number(text: str) -> Decimal | Off | Sentence | None:
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
        return sentence("%(text)s is below 0", text=shown)
    if _SCIENTIFIC.fullmatch(word):
        return sentence("%(text)s may have lost digits: write all digits of the number", text=shown)
    if _DECIMAL_COMMA.fullmatch(word):
        return sentence(
            "%(text)s can be read in two ways: write 1.5 for a fraction, 1,500 for thousands", text=shown
        )
    return sentence("must be a number, `off`, or empty to inherit, not %(text)s", text=shown)
