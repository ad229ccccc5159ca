"""The translations of a language, and the format of its numbers, spans of time, instants and lists.

English is the language of the source, where each sentence is written once. Every other language is one file,
`locale/<language>/LC_MESSAGES/balancebot.po`. `make messages` collects the sentences; `docs/templates.md` explains how.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING

from balancebot.config import ENGLISH, LANGUAGES
from balancebot.domain.balance import Absent, Reading
from balancebot.domain.local_time import local_time
from balancebot.domain.runway import Runway
from balancebot.domain.sentence import Sentence

if TYPE_CHECKING:
    from babel import Locale
    from jinja2 import Environment

_LOCALE = Path(__file__).parent / "locale"
_HOURS_PER_DAY = 24.0
_TABLE_DASH = "—"
ANY_MINUTE = timedelta(minutes=5)
"""An instant that is nearer than this isn't named: the next reading may come later."""
_IN_A_BURST = 24.0
"""A runway whose P10 is less than an hour and this many times shorter than its P50 is that short only in a burst."""
_SPARKS = "▁▂▃▄▅▆▇█"


@cache
def catalogue(language: str) -> NullTranslations:
    """Return the translations of a language; none for English, and for a language that no longer exists."""
    if language not in LANGUAGES or language == ENGLISH:
        return NullTranslations()
    with (_LOCALE / language.replace("-", "_") / "LC_MESSAGES" / "balancebot.mo").open("rb") as file:
        return GNUTranslations(file)


def language_name(language: str) -> str:
    """Return the language's own name for itself: `English`, 中文."""
    return _locale(language).language_name or language


@cache
def _locale(language: str) -> "Locale":
    from babel import Locale  # lazy: not in English, but for one page

    return Locale.parse(language, sep="-")


def install(environment: "Environment", language: str) -> None:
    """Let the templates of `environment` translate: `{{ _("…") }}`, `ngettext`, `{% trans %}`; and `|upfirst`."""
    found = catalogue(language)
    environment.add_extension("jinja2.ext.i18n")
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined] # the extension adds it
        found.gettext, found.ngettext, newstyle=True, pgettext=found.pgettext, npgettext=found.npgettext
    )
    environment.filters["upfirst"] = upfirst


def upfirst(text: str) -> str:
    """Return text with a capital letter at its beginning, if the script has them."""
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """Format a whole number with thousands separators; a small fraction keeps one decimal."""
    if value != int(value) and abs(value) < 10:
        return f"{value:,.1f}"
    return f"{round(value):,}"


def without_middle(text: str, *, kept: int) -> str:
    """Shorten a name to `kept` characters by leaving out its middle: both ends distinguish it from others."""
    return f"{text[: kept // 2]}…{text[len(text) - kept + kept // 2 :]}"


def sparkline(values: Sequence[int | None]) -> str:
    """Return a balance over time as one line of bars from 0 to its highest value; a gap is a missing reading."""
    top = max((value for value in values if value is not None), default=0)
    steps = len(_SPARKS) - 1
    return "".join(
        " " if value is None else _SPARKS[math.ceil(value / top * steps) if top else 0] for value in values
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Formats sentences and figures in one language, and instants in one time zone."""

    language: str = ENGLISH
    zone: tzinfo = field(default=UTC)

    def gettext(self, message: str, /, **figures: object) -> str:
        """Translate an English sentence and fill in its `%(names)s`."""
        return catalogue(self.language).gettext(message) % figures

    def ngettext(self, one: str, many: str, count: int, /, **figures: object) -> str:
        """Translate the form of a sentence for `count`; `%(count)s` is formatted with thousands separators."""
        text = catalogue(self.language).ngettext(one, many, count)
        return text % {"count": self.number(count), **figures}

    def translate(self, text: Sentence) -> str:
        """Translate a sentence that other code has made."""
        return text.translated(catalogue(self.language).gettext)

    def all_of(self, texts: Iterable[str]) -> str:
        """Join texts with "and": `a and b`."""
        return self.gettext(" and ").join(texts)

    def listed(self, texts: Iterable[str]) -> str:
        """Join the items of a list: `a, b`."""
        return self.gettext(", ").join(texts)

    # numbers and spans of time

    def number(self, value: float) -> str:
        """Format a whole number with the language's thousands separators; a small fraction keeps one decimal."""
        if self.language == ENGLISH:
            return number(value)
        from babel.numbers import format_decimal  # lazy: only when it is shown

        has_decimal = value != int(value) and abs(value) < 10
        figure = round(value, 1) if has_decimal else round(value)
        return format_decimal(figure, "#,##0.0" if has_decimal else "#,##0", locale=_locale(self.language))

    def messages(self, count: int) -> str:
        """Format a number of messages: `312 messages`, 312 条."""
        return self.ngettext("%(count)s message", "%(count)s messages", count)

    def reading(self, reading: Reading) -> str:
        """Format a reading for a sentence; without a number, say why."""
        match reading:
            case Absent.UNALLOCATED:
                return self.gettext("unallocated")
            case Absent.UNREAD:
                return self.gettext("not read yet")
            case int():
                return self.messages(reading)

    def cell(self, reading: Reading) -> str:
        """Format a reading for a table: the number alone, `—` = unallocated."""
        match reading:
            case Absent.UNALLOCATED:
                return _TABLE_DASH
            case Absent.UNREAD:
                return self.gettext("not read yet")
            case int():
                return self.number(reading)

    def burn(self, per_day: float | None) -> str:
        """Format a usage rate in messages per day; None is unknown."""
        if per_day is None:
            return self.gettext("unknown")
        if per_day <= 0:
            return self.gettext("no usage")
        return self.gettext("%(count)s a day", count=self.number(per_day))

    def span(self, hours: float) -> str:
        """Format a finite length of time with sensible precision: `40 min`, `9 h`, `2.5 days`."""
        if hours < 1:
            return self.gettext("%(count)s min", count=max(1, round(hours * 60)))
        if hours < 2 * _HOURS_PER_DAY:
            return self.gettext("%(count)s h", count=_brief(hours, below=3))
        return self._days(_brief(hours / _HOURS_PER_DAY, below=10))

    def elapsed(self, time: timedelta) -> str:
        """Format how long something has lasted."""
        if time < timedelta(minutes=1):
            return self.gettext("a few seconds")
        return self.span(time.total_seconds() / 3600)

    def days(self, days: float) -> str:
        """Format a limit in days as it was entered: `3 days`, `2.5 days`."""
        return self._days(f"{days:,.10g}")

    def _days(self, text: str) -> str:
        return self.ngettext("%(count)s day", "%(count)s days", 1 if text == "1" else 2, count=text)

    def duration(self, hours: float | None) -> str:
        """Format a runway: `≈ 9 h`; None is unknown, infinity is beyond a year, 0 is none left."""
        text = self._length(hours)
        return self.gettext("≈ %(span)s", span=text) if hours and math.isfinite(hours) else text

    def _length(self, hours: float | None) -> str:
        if hours is None:
            return self.gettext("unknown")
        if math.isinf(hours):
            return self.gettext("more than a year")
        return self.span(hours) if hours > 0 else self.gettext("none left")

    def runway(self, runway: Runway | None) -> str:
        """Format a runway with its range, if it has one, and what it stands on.

        `≈ 9 h (6 h to 14 h), from only 2 h of history`
        """
        if runway is None:
            return self.gettext("unknown")
        between = self.runway_between(runway)
        text = self.duration(runway.p50)
        if between:
            text = self.gettext("%(value)s (%(range)s)", value=text, range=between)
        if runway.sends:
            text = self.gettext(
                "%(runway)s, incl. bulk sends of %(count)s", runway=text, count=self.number(runway.sends)
            )
        if runway.history_hours is not None and runway.p50 > 0:
            history = self.span(runway.history_hours)
            text = self.gettext("%(runway)s, from only %(history)s of history", runway=text, history=history)
        return text

    def runway_brief(self, runway: Runway | None) -> str:
        """Format a runway without its range: `≈ 9 h`, or unknown."""
        return self.gettext("runway unknown") if runway is None else self.duration(runway.p50)

    def runway_between(self, runway: Runway | None) -> str:
        """Format the range of a runway, P10 to P90: `6 h to 14 h`; '' if both ends look the same.

        Where a burst may use up in minutes what would last for days: `to 3.4 days; only 1 min in a burst`.
        """
        if runway is None:
            return ""
        low, high = self._length(runway.p10), self._length(runway.p90)
        if math.isinf(runway.p90) and not math.isinf(runway.p10):
            return self.gettext("%(low)s or more", low=low)
        if 0 < runway.p10 < 1 and runway.p50 > _IN_A_BURST * runway.p10:
            return self.gettext("to %(high)s; only %(low)s in a burst", low=low, high=high)
        return "" if low == high else self.gettext("%(low)s to %(high)s", low=low, high=high)

    def sure(self, days: float | None, *, limit: float | None = None) -> str:
        """Format a judged runway in days; with two decimals if it would look equal to its `limit`."""
        text = self._length(None if days is None else days * _HOURS_PER_DAY)
        if days is not None and limit is not None and text == self.days(limit):
            return self.days(math.floor(days * 100) / 100)
        return text

    # instants

    def local(self, at: datetime) -> datetime:
        """Return an instant in the time zone; at the ends of the calendar this doesn't raise."""
        return local_time(at, self.zone)

    def day(self, at: datetime) -> str:
        """Format the date of an instant with its year: `3 Apr 2027`, 2027年4月3日."""
        return self._date(at, "yMMMd")

    def date(self, at: datetime) -> str:
        """Format the date of an instant that is so near that it needs no year: `Tue 24 Nov`, 11月24日周二."""
        return self._date(at, "MMMEd")

    def when(self, at: datetime) -> str:
        """Format an instant that is so near that it needs no year: `Tue 24 Nov, 18:40`."""
        time = f"{self.local(at):%H:%M}"
        return self.gettext("%(date)s, %(time)s", date=self.date(at), time=time)

    def ahead(self, at: datetime, *, now: datetime) -> str:
        """Format a future instant only as precisely as it can be known: the minute within three days, then the day."""
        if at - now < timedelta(days=3):
            return self.when(at)
        if at - now < timedelta(days=60):
            return self.date(at)
        return self.day(at)

    def expected(self, at: datetime, *, now: datetime) -> str:
        """Format when something is expected to happen, such as a balance that runs out: soon or past is "any minute"."""
        return self.gettext("any minute") if at - now < ANY_MINUTE else self.ahead(at, now=now)

    def _date(self, at: datetime, skeleton: str) -> str:
        local = self.local(at)
        if self.language == ENGLISH:
            if skeleton == "yMMMd":
                return f"{local.day} {local:%b %Y}"
            return f"{local:%a} {local.day} {local:%b}"
        from babel.dates import format_skeleton  # lazy: only when it is shown

        return format_skeleton(skeleton, local, tzinfo=None, locale=_locale(self.language))

    @property
    def zone_name(self) -> str:
        """The time zone as in the configuration: `UTC`, `Asia/Shanghai`."""
        return str(self.zone)


def _brief(value: float, *, below: float) -> str:
    """Format `value` with one decimal if it is less than `below`, else rounded; `3.0` is `3`."""
    return f"{value:.1f}".removesuffix(".0") if value < below else f"{round(value):,}"
