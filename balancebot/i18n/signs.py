"""What reads the same in every language: numbers, the sign of a severity, a shortened name, a line of bars."""

import math
from collections.abc import Sequence

from balancebot.domain.verdict import Severity

_SPARKS = "▁▂▃▄▅▆▇█"
_MARKS = {
    Severity.UNKNOWN: "⚪",
    Severity.OK: "🟢",
    Severity.WARNING: "🟡",
    Severity.CRITICAL: "🔴",
    Severity.DEPLETED: "⛔",
}


def mark(severity: Severity) -> str:
    """Return the coloured sign of a severity, the same in every language."""
    return _MARKS[severity]


def number(value: float) -> str:
    """Write a whole number with thousands separators; a small fraction keeps one decimal."""
    if value != int(value) and abs(value) < 10:
        return f"{value:,.1f}"
    return f"{round(value):,}"


def without_middle(text: str, *, kept: int) -> str:
    """Leave out all but `kept` characters of a name from its middle: both of its ends tell it from others."""
    return f"{text[: kept // 2]}…{text[len(text) - kept + kept // 2 :]}"


def sparkline(values: Sequence[int | None]) -> str:
    """Draw a balance over time as one line of bars from 0 to its highest; a gap is where it wasn't read."""
    top = max((value for value in values if value is not None), default=0)
    steps = len(_SPARKS) - 1
    return "".join(
        " " if value is None else _SPARKS[math.ceil(value / top * steps) if top else 0] for value in values
    )
