"""Draws a runway as a bar: how long it lasts for sure, how long perhaps, and where its limits stand.

Time runs on a logarithmic scale up to a year, so that hours and months both have room. Only classes and geometry are
written: colours are the style sheet's, so that they follow light and dark.
"""

import math

from markupsafe import Markup

from balancebot.domain.runway import Runway
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity

_WIDTH, _HEIGHT = 170.0, 22.0
_TOP, _BAR = 5.0, 12.0
_SOFTNESS_HOURS = 6.0
"""Below about so long the scale is nearly linear."""
_YEAR_HOURS = 365 * 24.0
_TICKS_DAYS = (1, 7, 30, 90)


def runway_bar(runway: Runway | None, severity: Severity, limits: Limits, *, words: str) -> Markup:
    """Draw P10 to P90 with the median between; `words` say the same to those who don't see it."""
    parts = [
        Markup('<rect class="track" x="0" y="{}" width="{}" height="{}" rx="3"/>').format(_TOP, _WIDTH, _BAR)
    ]
    if runway is not None:
        low, middle, high = (_x(hours) for hours in (runway.p10, runway.p50, runway.p90))
        parts.append(_block("maybe", 0.0, high))
        parts.append(_block("sure", 0.0, low))
        parts.append(
            Markup('<rect class="middle" x="{:.1f}" y="{}" width="2" height="{}"/>').format(
                min(max(middle - 1, 0.0), _WIDTH - 2), _TOP - 3, _BAR + 6
            )
        )
    parts += [_line("tick", _x(days * 24.0), _TOP, _TOP + _BAR) for days in _TICKS_DAYS]
    parts += [
        _line("limit", _x(days * 24.0), 0.0, _HEIGHT)
        for days in (limits.warning_days, limits.critical_days)
        if days is not None
    ]
    return Markup(
        '<svg class="runway {}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
    ).format(severity.word, _WIDTH, _HEIGHT, words, Markup("").join(parts))


def _x(hours: float) -> float:
    """Place a length of time on the scale; beyond a year is its end."""
    most = math.log1p(_YEAR_HOURS / _SOFTNESS_HOURS)
    return _WIDTH * math.log1p(min(hours, _YEAR_HOURS) / _SOFTNESS_HOURS) / most


def _block(name: str, start: float, end: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="3"/>').format(
        name, start, _TOP, end - start, _BAR
    )


def _line(name: str, x: float, top: float, bottom: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
        name, x, x, top, bottom
    )
