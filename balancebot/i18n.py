"""What people read, in their language: sentences from the catalogue, numbers, spans of time, instants, closed sets.

English is the language of the source, where each sentence is written once; every other language is one file,
`locale/<language>/LC_MESSAGES/balancebot.po`. `make messages` collects the sentences, `docs/templates.md` tells how.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING

from balancebot.config import Language
from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Absent, Category, Reading
from balancebot.domain.message import AlertMessage, SpikeMeasurement
from balancebot.domain.runway import OrderAdvice, PlannedUse, Runway
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.user import Role
from balancebot.domain.verdict import COUNTS, Crossed, Severity

if TYPE_CHECKING:
    from jinja2 import Environment

_LOCALE = Path(__file__).parent / "locale"
_HOURS_PER_DAY = 24.0
_TABLE_DASH = "—"
_SPARKS = "▁▂▃▄▅▆▇█"
_MARKS = {
    Severity.UNKNOWN: "⚪",
    Severity.OK: "🟢",
    Severity.WARNING: "🟡",
    Severity.CRITICAL: "🔴",
    Severity.DEPLETED: "⛔",
}
_SEVERITIES = {
    Severity.UNKNOWN: sentence("unknown"),
    Severity.OK: sentence("ok"),
    Severity.WARNING: sentence("warning"),
    Severity.CRITICAL: sentence("critical"),
    Severity.DEPLETED: sentence("depleted"),
}
_CATEGORIES = {
    Category.UNIVERSAL: sentence("universal"),
    Category.VOICE: sentence("voice"),
    Category.INDUSTRY: sentence("industry"),
    Category.MARKET: sentence("market"),
}
_KINDS = {
    AlertKind.LOW_BALANCE: sentence("low balance"),
    AlertKind.BURN_SPIKE: sentence("usage spike"),
    AlertKind.CREDENTIALS_REJECTED: sentence("credentials rejected"),
    AlertKind.STALE: sentence("no reading"),
}
_REASONS = {
    Reason.OPENED: sentence("opened"),
    Reason.WORSENED: sentence("worsened"),
    Reason.REMINDER: sentence("reminder"),
    Reason.RECOVERED: sentence("recovered"),
    Reason.CLOSED: sentence("closed"),
}
_CAUSES = {
    Cause.ROSE: sentence("the balance is above its limits again"),
    Cause.LIMIT_CHANGED: sentence("the limit was changed"),
    Cause.UNALLOCATED: sentence("no quota is allocated any more"),
    Cause.WALLET_REMOVED: sentence("the wallet was removed from the configuration"),
    Cause.READ_AGAIN: sentence("the balance can be read again"),
    Cause.CREDENTIALS_INSTEAD: sentence("the source answers again, but rejects the credentials"),
    Cause.USE_NORMAL: sentence("usage is normal again"),
}
_ROLES = {
    Role.VIEWER: sentence("viewer"),
    Role.FINANCE: sentence("finance"),
    Role.ADMIN: sentence("admin"),
}
_COLUMNS = {
    "wallet": sentence("Wallet"),
    "category": sentence("Category"),
    "warning_below": sentence("Warning below"),
    "critical_below": sentence("Critical below"),
    "warning_days": sentence("Warning days"),
    "critical_days": sentence("Critical days"),
    "lead_time_days": sentence("Lead time, days"),
    "note": sentence("Note"),
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


@cache
def catalogue(language: str) -> NullTranslations:
    """Return the sentences of a language; English needs none."""
    if language == Language.ENGLISH:
        return NullTranslations()
    with (_locale_folder(language) / "LC_MESSAGES" / "balancebot.mo").open("rb") as file:
        return GNUTranslations(file)


def _locale_folder(language: str) -> Path:
    return _LOCALE / language.replace("-", "_")


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
    """Begin a sentence with a capital letter, where the script has them."""
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Writes sentences, figures and closed sets in one language, and instants in one time zone."""

    language: Language = Language.ENGLISH
    zone: tzinfo = field(default=UTC)

    def gettext(self, message: str, /, **figures: object) -> str:
        """Translate an English sentence and fill in its `%(names)s`."""
        return catalogue(self.language).gettext(message) % figures

    def ngettext(self, one: str, many: str, count: int, /, **figures: object) -> str:
        """Translate the form of a sentence for `count`; `%(count)s` is written with thousands separators."""
        text = catalogue(self.language).ngettext(one, many, count)
        return text % {"count": self.number(count), **figures}

    def translate(self, told: Sentence) -> str:
        """Translate a sentence that was made elsewhere."""
        return told.translated(catalogue(self.language).gettext)

    def severity(self, severity: Severity) -> str:
        """Name a severity: `critical`, 严重."""
        return self.translate(_SEVERITIES[severity])

    def category(self, category: Category) -> str:
        """Name a category: `industry`, 行业短信."""
        return self.translate(_CATEGORIES[category])

    def kind(self, kind: AlertKind) -> str:
        """Name what an alert is about."""
        return self.translate(_KINDS[kind])

    def reason(self, reason: Reason) -> str:
        """Name why a message was sent."""
        return self.translate(_REASONS[reason])

    def cause(self, cause: Cause) -> str:
        """Say why an alert closed, as a clause."""
        return self.translate(_CAUSES[cause])

    def role(self, role: Role) -> str:
        """Name what a user may do."""
        return self.translate(_ROLES[role])

    def column(self, column: str) -> str:
        """Name a column of thresholds; an unknown one keeps its name."""
        return self.translate(_COLUMNS[column]) if column in _COLUMNS else column

    # numbers and spans of time

    def number(self, value: float) -> str:
        """Write a whole number with the language's thousands separators; a small fraction keeps one decimal."""
        if self.language == Language.ENGLISH:
            return number(value)
        from babel.numbers import format_decimal  # lazy: only when it is shown

        has_decimal = value != int(value) and abs(value) < 10
        figure = round(value, 1) if has_decimal else round(value)
        return format_decimal(figure, "#,##0.0" if has_decimal else "#,##0", locale=self._locale)

    def messages(self, count: int) -> str:
        """Write a number of messages: `312 messages`, 312 条."""
        return self.ngettext("%(count)s message", "%(count)s messages", count)

    def reading(self, reading: Reading) -> str:
        """Write a reading in a sentence; its absences in words."""
        match reading:
            case Absent.UNALLOCATED:
                return self.gettext("unallocated")
            case Absent.UNREAD:
                return self.gettext("not read yet")
            case int():
                return self.messages(reading)

    def cell(self, reading: Reading) -> str:
        """Write a reading in a table: the bare number, `—` where unallocated."""
        match reading:
            case Absent.UNALLOCATED:
                return _TABLE_DASH
            case Absent.UNREAD:
                return self.gettext("not read yet")
            case int():
                return self.number(reading)

    def burn(self, per_day: float | None) -> str:
        """Write a usage rate in messages a day; None is unknown."""
        if per_day is None:
            return self.gettext("unknown")
        if per_day <= 0:
            return self.gettext("no usage")
        return self.gettext("%(count)s a day", count=self.number(per_day))

    def span(self, hours: float) -> str:
        """Write a finite length of time, as exactly as a person cares: `40 min`, `9 h`, `2.5 days`."""
        if hours < 1:
            return self.gettext("%(count)s min", count=max(1, round(hours * 60)))
        if hours < 2 * _HOURS_PER_DAY:
            return self.gettext("%(count)s h", count=_brief(hours, below=3))
        return self._days(_brief(hours / _HOURS_PER_DAY, below=10))

    def elapsed(self, time: timedelta) -> str:
        """Write how long something has lasted."""
        return self.span(time.total_seconds() / 3600)

    def days(self, days: float) -> str:
        """Write a limit in days, as it was entered: `3 days`, `2.5 days`."""
        return self._days(f"{days:,.10g}")

    def _days(self, text: str) -> str:
        return self.ngettext("%(count)s day", "%(count)s days", 1 if text == "1" else 2, count=text)

    def duration(self, hours: float | None) -> str:
        """Write a runway: `≈ 9 h`; None is unknown, infinity is beyond a year, 0 is none left."""
        text = self._length(hours)
        return self.gettext("≈ %(span)s", span=text) if hours and math.isfinite(hours) else text

    def _length(self, hours: float | None) -> str:
        if hours is None:
            return self.gettext("unknown")
        if math.isinf(hours):
            return self.gettext("more than a year")
        return self.span(hours) if hours > 0 else self.gettext("none left")

    def runway(self, runway: Runway | None) -> str:
        """Write a runway with its range where there is one: `≈ 9 h (6 h to 14 h)`."""
        if runway is None:
            return self.gettext("unknown")
        between = self.runway_between(runway)
        middle = self.duration(runway.p50)
        return self.gettext("%(value)s (%(range)s)", value=middle, range=between) if between else middle

    def runway_between(self, runway: Runway | None) -> str:
        """Write the range of a runway, P10 to P90: `6 h to 14 h`; '' where the two read the same."""
        if runway is None:
            return ""
        low, high = self._length(runway.p10), self._length(runway.p90)
        if math.isinf(runway.p90) and not math.isinf(runway.p10):
            return self.gettext("%(low)s or more", low=low)
        return "" if low == high else self.gettext("%(low)s to %(high)s", low=low, high=high)

    def sure(self, days: float | None, *, limit: float | None = None) -> str:
        """Write a judged runway in days; one that would read like its `limit` keeps two decimals."""
        text = self._length(None if days is None else days * _HOURS_PER_DAY)
        if days is not None and limit is not None and text == self.days(limit):
            return self.days(math.floor(days * 100) / 100)
        return text

    # limits, surges and orders

    def crossed(self, crossed: Crossed) -> str:
        """Write which limit was crossed, and by what: the reason of a `low_balance` alert."""
        limit = crossed.limit or 0
        match crossed.column:
            case None:
                text = self.gettext("nothing is left")
            case LimitColumn.WARNING_BELOW:
                text = self.gettext(
                    "%(value)s, below the warning limit of %(limit)s",
                    value=self.messages(int(crossed.value or 0)),
                    limit=self.number(limit),
                )
            case LimitColumn.CRITICAL_BELOW:
                text = self.gettext(
                    "%(value)s, below the critical limit of %(limit)s",
                    value=self.messages(int(crossed.value or 0)),
                    limit=self.number(limit),
                )
            case LimitColumn.WARNING_DAYS:
                text = self.gettext(
                    "sure for %(value)s, below the warning limit of %(limit)s",
                    value=self.sure(crossed.value, limit=crossed.limit),
                    limit=self.days(limit),
                )
            case LimitColumn.CRITICAL_DAYS:
                text = self.gettext(
                    "sure for %(value)s, below the critical limit of %(limit)s",
                    value=self.sure(crossed.value, limit=crossed.limit),
                    limit=self.days(limit),
                )
        if crossed.scope:
            return self.gettext("%(limit)s (set for %(scope)s)", limit=text, scope=crossed.scope)
        return text

    def limit(self, message: AlertMessage) -> str:
        """Write which limit was crossed, or what a balance above its limits lacks to have recovered; '' for neither."""
        measured = message.measurement
        if message.is_recovering:
            return self.gettext(
                "%(value)s, above its limits; it recovers at %(bars)s",
                value=self.reading(measured.reading),
                bars=self.all_of(self.bar(*bar) for bar in measured.short_of),
            )
        return self.crossed(measured.crossed) if measured.crossed else ""

    def bar(self, column: LimitColumn, bar: float) -> str:
        """Write what a balance has to reach: `5,500 messages`, `sure for 3.3 days`."""
        if column in COUNTS:
            return self.messages(int(bar))
        return self.gettext("sure for %(days)s", days=self.days(bar))

    def all_of(self, texts: Iterable[str]) -> str:
        """Join what holds together: `a and b`."""
        return self.gettext(" and ").join(texts)

    def listed(self, texts: Iterable[str]) -> str:
        """Join the items of a list: `a, b`."""
        return self.gettext(", ").join(texts)

    def planned(self, planned: PlannedUse) -> str:
        """Write what was announced, and when it begins."""
        text = self.gettext(
            "Planned: %(messages)s from %(at)s",
            messages=self.messages(planned.messages),
            at=self.when(planned.starts_at),
        )
        return self.gettext("%(value)s (%(range)s)", value=text, range=planned.note) if planned.note else text

    def surge(self, surge: SpikeMeasurement | None) -> str:
        """Write what was used in how short a time, against what is usual; '' for none."""
        if surge is None:
            return ""
        messages, span = self.messages(surge.messages), self.elapsed(surge.until - surge.since)
        if surge.expected < 1:
            return self.gettext(
                "%(messages)s in %(span)s, where usage is usually near zero", messages=messages, span=span
            )
        return self.gettext(
            "%(messages)s in %(span)s, about %(factor)s times the usual %(expected)s",
            messages=messages,
            span=span,
            factor=self.number(surge.messages / surge.expected),
            expected=self.number(surge.expected),
        )

    def at_this_pace(self, hours: float) -> str:
        """Write how long a balance lasts if a usage spike goes on."""
        return self.gettext("%(runway)s at this pace", runway=self.duration(hours))

    def not_counted(self, messages: int, at: datetime | None) -> str:
        """Write which burst the usage rate leaves out; '' for none."""
        if messages <= 0 or at is None:
            return ""
        return self.gettext(
            "%(messages)s sent at once at %(at)s, not counted as usual",
            messages=self.number(messages),
            at=self.when(at),
        )

    def why(self, message: AlertMessage) -> str:
        """Write what caused an alert, or keeps it open: the limit, the surge, or what went wrong; '' where nothing is."""
        measured = message.measurement
        return self.limit(message) or self.surge(measured.spike) or self.trouble(measured.detail)

    def trouble(self, message: str) -> str:
        """Translate a sentence as the database holds it: why a wallet can't be read, why a message didn't arrive."""
        return self.translate(Sentence.restored(message))

    def order(self, advice: OrderAdvice | None, category: Category | None, *, now: datetime) -> str:
        """Write how much to move and buy by when; '' where nothing is to be done."""
        if advice is None or category is None:
            return ""
        if advice.stop_first:
            return self.gettext("Buy nothing yet: the sending must be stopped first")
        if not advice.is_needed or advice.order_by is None:
            return ""
        figures = {
            "count": self.number(advice.messages or advice.move),
            "moved": self.number(advice.move),
            "category": self.category(category),
            "until": self.ahead(advice.until, now=now),
            "certainty": round(advice.confidence * 100),
        }
        if advice.move and not advice.messages:
            if advice.order_by <= now:
                return self.gettext(
                    "Move %(count)s %(category)s SMS here from the shared pool now and buy nothing:"
                    " enough until %(until)s (%(certainty)s %% sure)",
                    **figures,
                )
            return self.gettext(
                "Move %(count)s %(category)s SMS here from the shared pool by %(by)s and buy nothing:"
                " enough until %(until)s (%(certainty)s %% sure)",
                by=self.ahead(advice.order_by, now=now),
                **figures,
            )
        if advice.move:
            if advice.order_by <= now:
                return self.gettext(
                    "Move %(moved)s %(category)s SMS here from the shared pool and buy about %(count)s more now:"
                    " enough until %(until)s (%(certainty)s %% sure)",
                    **figures,
                )
            return self.gettext(
                "Move %(moved)s %(category)s SMS here from the shared pool and buy about %(count)s more by %(by)s:"
                " enough until %(until)s (%(certainty)s %% sure)",
                by=self.ahead(advice.order_by, now=now),
                **figures,
            )
        if advice.order_by <= now:
            return self.gettext(
                "Buy about %(count)s %(category)s SMS now: enough until %(until)s (%(certainty)s %% sure)",
                **figures,
            )
        return self.gettext(
            "Buy about %(count)s %(category)s SMS by %(by)s: enough until %(until)s (%(certainty)s %% sure)",
            by=self.ahead(advice.order_by, now=now),
            **figures,
        )

    def order_total(
        self, messages: Mapping[Category, int], *, order_by: datetime | None = None, now: datetime
    ) -> str:
        """Write how much to buy of each category in all, and by when the first; '' where nothing is to be bought."""
        orders = self.listed(
            self.gettext(
                "%(count)s %(category)s",
                count=self.number(messages[category]),
                category=self.category(category),
            )
            for category in Category
            if messages.get(category)
        )
        if not orders:
            return ""
        if order_by is None:
            return self.gettext("Buy in total about %(orders)s SMS", orders=orders)
        if order_by <= now:
            return self.gettext("Buy in total about %(orders)s SMS, the first of it now", orders=orders)
        return self.gettext(
            "Buy in total about %(orders)s SMS, the first of it by %(by)s",
            orders=orders,
            by=self.ahead(order_by, now=now),
        )

    # instants

    def day(self, at: datetime) -> str:
        """Write the date of an instant with its year: `3 Apr 2027`, 2027年4月3日."""
        return self._date(at, "yMMMd")

    def date(self, at: datetime) -> str:
        """Write the date of an instant near enough to need no year: `Tue 24 Nov`, 11月24日周二."""
        return self._date(at, "MMMEd")

    def when(self, at: datetime) -> str:
        """Write an instant near enough to need no year: `Tue 24 Nov, 18:40`."""
        time = f"{at.astimezone(self.zone):%H:%M}"
        return self.gettext("%(date)s, %(time)s", date=self.date(at), time=time)

    def ahead(self, at: datetime, *, now: datetime) -> str:
        """Write a future instant no more exactly than it can be known: the hour within three days, then the day."""
        if at - now < timedelta(days=3):
            return self.when(at)
        if at - now < timedelta(days=60):
            return self.date(at)
        return self.day(at)

    def _date(self, at: datetime, skeleton: str) -> str:
        local = at.astimezone(self.zone)
        if self.language == Language.ENGLISH:
            if skeleton == "yMMMd":
                return f"{local.day} {local:%b %Y}"
            return f"{local:%a} {local.day} {local:%b}"
        from babel.dates import format_skeleton  # lazy: only when it is shown

        return format_skeleton(skeleton, local, tzinfo=None, locale=self._locale)

    @property
    def _locale(self) -> str:
        """The language as Babel names it."""
        return self.language.replace("-", "_")

    @property
    def zone_name(self) -> str:
        """The time zone as its configuration names it: `UTC`, `Asia/Shanghai`."""
        return str(self.zone)


def _brief(value: float, *, below: float) -> str:
    """Write `value` with one decimal below a bound, rounded above; `3.0` is `3`."""
    return f"{value:.1f}".removesuffix(".0") if value < below else f"{round(value):,}"
