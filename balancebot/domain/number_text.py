"""Read numbers as people type them in English and Chinese: 20,000, 20k, 5万.

An ambiguous number is refused with a sentence that says what to write instead.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from balancebot.domain.balance import MAX_BALANCE
from balancebot.domain.sentence import Sentence, sentence

_UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "": 1,
        "k": 10**3,
        "千": 10**3,
        "w": 10**4,
        "万": 10**4,
        "萬": 10**4,
        "m": 10**6,
        "百万": 10**6,
        "千万": 10**7,
        "亿": 10**8,
    }
)
_SHOWN: Final = 60
_LONGEST: Final = 40
_UNIT = rf"(?P<unit>{'|'.join(sorted(filter(None, _UNITS), key=len, reverse=True))}|)"


def _written(thousands: str, decimal: str) -> re.Pattern[str]:
    """Return the pattern of a number with these separators, its unit, and the percent sign of a percentage cell."""
    whole = rf"(?P<whole>\+?(?:\d+|[1-9]\d{{0,2}}(?P<mark>[{thousands} '’])\d{{3}}(?:(?P=mark)\d{{3}})*))"
    return re.compile(rf"{whole}(?:\{decimal}(?P<fraction>\d+))? ?{_UNIT} ?(?P<percent>%?)", re.ASCII)


_POINT_IS_DECIMAL = _written(",", ".")
_COMMA_IS_DECIMAL = _written(".", ",")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d+)?e[+-]?\d+", re.ASCII)
_DOTTED_THOUSANDS = re.compile(rf"\+?\d{{1,3}}\.\d{{3}} ?{_UNIT}", re.ASCII)
_DECIMAL_COMMA = re.compile(rf"\+?\d+,\d+ ?{_UNIT}", re.ASCII)


def read_number(
    text: str, *, is_count: bool = False, has_unit: bool = False, comma_is_decimal: bool = False
) -> Decimal | Sentence | None:
    """Read a number from 0. None: the text isn't a number; a sentence: it is one that can't be accepted.

    `has_unit`: it may have a unit: 20k, 5万. `is_count`: a whole number is expected, and it may have a unit.
    `comma_is_decimal` is for sheets with semicolons, where 1,500 may mean 1.5: a number that can be read in two ways is
    refused, and both are named.
    """
    word, shown = folded(text), quoted(text)
    readings = _readings(
        word, is_count=is_count, has_unit=has_unit or is_count, comma_is_decimal=comma_is_decimal
    )
    if len(readings) > 1:
        low, high = sorted(readings)
        return sentence(
            "%(text)s can be read in two ways: write %(one)s or %(other)s",
            text=shown,
            one=_plain(low),
            other=_plain(high),
        )
    if readings and is_count and not comma_is_decimal and _DOTTED_THOUSANDS.fullmatch(word):
        return sentence("%(text)s can be read in two ways: write thousands as 1,000 or 1000", text=shown)
    if readings:
        return readings.pop()
    if word[:1] in {"-", "\N{MINUS SIGN}"} and word[1:2].isdigit():
        return sentence("%(text)s is below 0", text=shown)
    if _SCIENTIFIC.fullmatch(word):
        return sentence("%(text)s may have lost digits: write all digits of the number", text=shown)
    if _DECIMAL_COMMA.fullmatch(word):
        return sentence(
            "%(text)s can be read in two ways: write 1.5 for a fraction, 1,500 for thousands", text=shown
        )
    return None


def read_quantity(text: str) -> int | Sentence:
    """Read a number of messages: a whole number from 0."""
    number = read_number(text, is_count=True)
    if number is None:
        return sentence("must be a whole number such as 20,000, 20k or 5万, not %(text)s", text=quoted(text))
    return number if isinstance(number, Sentence) else as_count(number, text)


def as_count(number: Decimal, text: str) -> int | Sentence:
    """Return `number`, which was read from `text`, as a number of messages."""
    if number != number.to_integral_value():
        return sentence("must be a whole number of messages, not %(text)s", text=quoted(text))
    return int(number) if number <= MAX_BALANCE else sentence("must be at most %(most)s", most=MAX_BALANCE)


def _readings(word: str, *, is_count: bool, has_unit: bool, comma_is_decimal: bool) -> set[Decimal]:
    """Return all numbers that a word may mean; for a count only the whole ones, if there are any."""
    if len(word) > _LONGEST:
        return set()
    forms = (_POINT_IS_DECIMAL, _COMMA_IS_DECIMAL) if comma_is_decimal else (_POINT_IS_DECIMAL,)
    values = {
        _value(found) for form in forms if (found := form.fullmatch(word)) and (has_unit or not found["unit"])
    }
    whole = {value for value in values if value == value.to_integral_value()}
    return whole if is_count and whole else values


def _value(found: re.Match[str]) -> Decimal:
    digits = found["whole"].replace(found["mark"] or ",", "")
    value = Decimal(f"{digits}.{found['fraction'] or 0}") * _UNITS[found["unit"]]
    return value / 100 if found["percent"] else value


def _plain(value: Decimal) -> str:
    return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"


def folded(text: str) -> str:
    """Return `text` with full-width characters, kinds of space and letter case made equal, for comparing."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def quoted(text: str) -> str:
    """Return typed text in quotes and made printable, for messages; a long text is cut."""
    text = text.strip()
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
