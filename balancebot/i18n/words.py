"""The vocabulary of messages, pages and tables, in both languages: severities, numbers, spans of time, limits.

Only single words and figures live here, so that every face says them alike; sentences belong to the templates.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from balancebot.config import Language
from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Absent, Category, Reading
from balancebot.domain.message import AlertFacts, SpikeFacts
from balancebot.domain.runway import OrderAdvice, PlannedUse, Runway
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import COUNTS, Crossed, Severity
from balancebot.i18n.chinese import CHINESE
from balancebot.i18n.english import ENGLISH
from balancebot.i18n.forms import forms_of, say_again
from balancebot.i18n.signs import number
from balancebot.i18n.vocabulary import Vocabulary

_VOCABULARIES = {Language.ENGLISH: ENGLISH, Language.CHINESE: CHINESE}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HOURS_PER_DAY = 24.0
_TABLE_DASH = "—"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Says figures and closed sets in one language, and instants in one time zone."""

    language: Language = Language.ENGLISH
    zone: tzinfo = field(default=UTC)

    @property
    def _words(self) -> Vocabulary:
        return _VOCABULARIES[self.language]

    def severity(self, severity: Severity) -> str:
        """Name a severity: `critical`, 严重."""
        return self._words.severities[severity]

    def category(self, category: Category) -> str:
        """Name a category: `industry`, 行业短信."""
        return self._words.categories[category]

    def kind(self, kind: AlertKind) -> str:
        """Name what an alert is about."""
        return self._words.kinds[kind]

    def reason(self, reason: Reason) -> str:
        """Name why we speak."""
        return self._words.reasons[reason]

    def cause(self, cause: Cause) -> str:
        """Say why an alert closed, as a clause."""
        return self._words.causes[cause]

    def messages(self, count: int) -> str:
        """Say a number of messages: `312 messages`, 312 条."""
        return self._words.one_message if count == 1 else self._words.messages.format(number(count))

    def reading(self, reading: Reading) -> str:
        """Say a reading in a sentence; its absences in words."""
        match reading:
            case Absent.UNALLOCATED:
                return self._words.unallocated
            case Absent.UNREAD:
                return self._words.unread
            case int():
                return self.messages(reading)

    def cell(self, reading: Reading) -> str:
        """Write a reading in a table: the bare number, `—` where unallocated."""
        match reading:
            case Absent.UNALLOCATED:
                return _TABLE_DASH
            case Absent.UNREAD:
                return self._words.unread
            case int():
                return number(reading)

    def burn(self, per_day: float | None) -> str:
        """Say a burn rate in messages a day; None is unknown."""
        if per_day is None:
            return self._words.unknown
        return self._words.a_day.format(number(per_day)) if per_day > 0 else self._words.no_use

    def span(self, hours: float) -> str:
        """Say a finite length of time, as exactly as a person cares: `40 min`, `9 h`, `2.5 days`."""
        words = self._words
        if hours < 1:
            return words.minutes.format(max(1, round(hours * 60)))
        if hours < 2 * _HOURS_PER_DAY:
            return words.hours.format(_brief(hours, below=3))
        days = _brief(hours / _HOURS_PER_DAY, below=10)
        return words.one_day if days == "1" else words.days.format(days)

    def elapsed(self, time: timedelta) -> str:
        """Say how long something has lasted."""
        return self.span(time.total_seconds() / 3600)

    def days(self, days: float) -> str:
        """Say a limit in days, as it was entered: `3 days`, `2.5 days`."""
        text = f"{days:,.10g}"
        return self._words.one_day if text == "1" else self._words.days.format(text)

    def duration(self, hours: float | None) -> str:
        """Say a runway: `≈ 9 h`; None is unknown, infinity has no end in sight, 0 is none left."""
        if hours is None:
            return self._words.unknown
        if math.isinf(hours):
            return self._words.endless
        return f"≈ {self.span(hours)}" if hours > 0 else self._words.emptied

    def runway(self, runway: Runway | None) -> str:
        """Say a runway with its range where there is one: `≈ 9 h (6 h to 14 h)`."""
        if runway is None:
            return self._words.unknown
        between = self.runway_between(runway)
        middle = self.duration(runway.p50)
        return self._words.ranged.format(middle, between) if between else middle

    def runway_between(self, runway: Runway | None) -> str:
        """Say the range of a runway, P10 to P90: `6 h to 14 h`; '' where the two read the same."""
        if runway is None:
            return ""
        low, high = (self.duration(hours).removeprefix("≈ ") for hours in (runway.p10, runway.p90))
        if math.isinf(runway.p90) and not math.isinf(runway.p10):
            return self._words.at_least.format(low)
        return "" if low == high else self._words.between.format(low, high)

    def crossed(self, crossed: Crossed) -> str:
        """Say which limit was crossed, and by what: the reason of a `low_balance` alert."""
        words = self._words
        match crossed.column:
            case None:
                text = words.zero_crossed
            case LimitColumn.WARNING_BELOW | LimitColumn.CRITICAL_BELOW as column:
                text = words.count_crossed.format(
                    value=self.messages(int(crossed.value or 0)),
                    name=words.limits[column],
                    limit=number(crossed.limit or 0),
                )
            case LimitColumn.WARNING_DAYS | LimitColumn.CRITICAL_DAYS as column:
                text = words.days_crossed.format(
                    value=self._counted_on(crossed.value, limit=crossed.limit),
                    name=words.limits[column],
                    limit=self.days(crossed.limit or 0),
                )
        return text + words.scope.format(crossed.scope) if crossed.scope else text

    def limit(self, facts: AlertFacts) -> str:
        """Say which limit was crossed, or what a balance above its limits still lacks to have recovered; '' for neither."""
        if facts.is_held:
            bars = self._words.both_bars.join(self._bar(*bar) for bar in facts.short_of)
            return self._words.held.format(value=self.reading(facts.reading), bars=bars)
        return self.crossed(facts.crossed) if facts.crossed else ""

    def _bar(self, column: LimitColumn, bar: float) -> str:
        if column in COUNTS:
            return self._words.count_bar.format(self.messages(int(bar)))
        return self._words.days_bar.format(self.days(bar))

    def planned(self, planned: PlannedUse) -> str:
        """Say what was announced, and when it begins."""
        note = self._words.ranged.format("", planned.note) if planned.note else ""
        return self._words.planned.format(
            messages=number(planned.messages), at=self.when(planned.starts_at), note=note
        )

    def surge(self, surge: SpikeFacts | None) -> str:
        """Say what was used in how short a time, against what is usual; '' for none."""
        if surge is None:
            return ""
        form = self._words.surge if surge.expected >= 1 else self._words.surge_from_nothing
        return form.format(
            messages=self.messages(surge.messages),
            span=self.elapsed(surge.until - surge.since),
            factor=number(surge.messages / max(surge.expected, 1)),
            expected=number(surge.expected),
        )

    def why(self, facts: AlertFacts) -> str:
        """Say what caused an alert, or holds it: the limit, the surge, or what went wrong; '' where nothing is."""
        return self.limit(facts) or self.surge(facts.surge) or self.trouble(facts.detail)

    def trouble(self, message: str) -> str:
        """Say what went wrong outside, a `SourceError` or a `ChannelError`; the other side's own words stay as they are."""
        return say_again(message, forms_of("troubles", self.language), self._trouble_figure)

    def fault(self, message: str) -> str:
        """Say what is wrong with what a person wrote."""
        return say_again(message, forms_of("faults", self.language), self._fault_figure)

    def _fault_figure(self, name: str, text: str) -> str:
        return self.fault(text) if name == "fault" else text

    def _trouble_figure(self, name: str, text: str) -> str:
        return self.trouble(text) if name == "trouble" else text

    def _counted_on(self, days: float | None, *, limit: float | None) -> str:
        """Say a judged runway; one that would read like its limit keeps two decimals."""
        text = self.duration(None if days is None else days * _HOURS_PER_DAY).removeprefix("≈ ")
        if days is not None and limit is not None and text == self.days(limit):
            return self.days(math.floor(days * 100) / 100)
        return text

    def order(self, advice: OrderAdvice | None, category: Category | None, *, now: datetime) -> str:
        """Say how much to buy by when; '' where nothing is to be bought."""
        if advice is None or category is None or advice.messages == 0 or advice.order_by is None:
            return ""
        form = self._words.order if advice.order_by > now else self._words.order_now
        return form.format(
            count=number(advice.messages),
            category=self.category(category),
            by=self.ahead(advice.order_by, now=now),
            until=self.ahead(advice.until, now=now),
            certainty=round(advice.confidence * 100),
        )

    def order_total(self, messages: Mapping[Category, int], *, by: str = "") -> str:
        """Say how much to buy of each category in all; `by` is what `first_order` says. '' where nothing is to be bought."""
        parts = [
            self._words.order_part.format(count=number(messages[category]), category=self.category(category))
            for category in Category
            if messages.get(category)
        ]
        return self._words.order_total.format(parts=self._words.and_then.join(parts), by=by) if parts else ""

    def first_order(self, order_by: datetime, *, now: datetime) -> str:
        """Say by when the first of several orders is due."""
        if order_by <= now:
            return self._words.first_order_now
        return self._words.first_order.format(self.ahead(order_by, now=now))

    def day(self, at: datetime) -> str:
        """Write the date of an instant with its year: `3 Apr 2027`, 2027年4月3日."""
        return self._date(at.astimezone(self.zone), self._words.date_of_year)

    def date(self, at: datetime) -> str:
        """Write the date of an instant near enough to need no year: `Tue 24 Nov`, 11月24日 周二."""
        return self._date(at.astimezone(self.zone), self._words.date)

    def when(self, at: datetime) -> str:
        """Write an instant near enough to need no year: `Tue 24 Nov, 18:40`."""
        local = at.astimezone(self.zone)
        comma = " " if self.language is Language.CHINESE else ", "
        return f"{self._date(local, self._words.date)}{comma}{local:%H:%M}"

    def ahead(self, at: datetime, *, now: datetime) -> str:
        """Write a future instant no more exactly than it can be known: the hour within three days, then the day."""
        if at - now < timedelta(days=3):
            return self.when(at)
        if at - now < timedelta(days=60):
            return self.date(at)
        return self.day(at)

    def _date(self, local: datetime, form: str) -> str:
        return form.format(
            weekday=self._words.weekdays[local.weekday()],
            day=local.day,
            month=_MONTHS[local.month - 1],
            number=local.month,
            year=local.year,
        )

    @property
    def zone_name(self) -> str:
        """The time zone as its configuration names it: `UTC`, `Asia/Shanghai`."""
        return str(self.zone)


def _brief(value: float, *, below: float) -> str:
    """Write `value` with one decimal below a bound, rounded above; `3.0` is `3`."""
    return f"{value:.1f}".removesuffix(".0") if value < below else f"{round(value):,}"
