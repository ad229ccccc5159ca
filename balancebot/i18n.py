"""Texts in the reader's language: the names of closed sets, and sentences about limits, surges and orders.

`catalogue.py` translates sentences and formats figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from balancebot.catalogue import Figures, catalogue
from balancebot.domain.alert import AlertKind, AlertSubject, Cause, Reason
from balancebot.domain.balance import Category
from balancebot.domain.holidays import HolidayCalendar
from balancebot.domain.local_time import working_day_before, working_day_from
from balancebot.domain.message import AlertMessage, SpikeMeasurement
from balancebot.domain.next_reading import REASON_TEXTS, NextReading, ReadReason
from balancebot.domain.order import OrderState
from balancebot.domain.runway import OrderAdvice, PlannedUse
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.user import Role
from balancebot.domain.verdict import COUNTS, Crossed, Severity

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
_ORDER_STATES = {
    OrderState.PARTLY: sentence("partly arrived"),
    OrderState.ARRIVED: sentence("arrived"),
    OrderState.OVERDUE: sentence("overdue"),
    OrderState.CANCELLED: sentence("cancelled"),
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
    Reason.ESCALATED: sentence("escalated"),
    Reason.TOPPED_UP: sentence("top-up arrived"),
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
    Cause.USE_STAYS_HIGH: sentence("usage has stayed high and no longer counts as unusual"),
    Cause.WRONG_READING: sentence("the reading that opened it was wrong"),
    Cause.LOW_BALANCE_INSTEAD: sentence("its low balance alert takes over"),
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
    """Return the coloured symbol of a severity, the same in every language."""
    return _MARKS[severity]


_MONTHLY = frozenset({1, 5, 10, 15, 20, 25})
"""Days of the month, in addition to the last one, on which many companies send in bulk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording(Figures):
    """Names closed sets, and describes measurements, in one language and time zone."""

    holidays: HolidayCalendar | None = None
    """The days off and worked weekends that deadlines consider; None = Monday to Friday are worked."""

    def severity(self, severity: Severity) -> str:
        """Return the name of a severity: `critical`, 严重."""
        return self.translate(_SEVERITIES[severity])

    def category(self, category: Category) -> str:
        """Return the name of a category: `industry`, 行业短信."""
        return self.translate(_CATEGORIES[category])

    def read_reason(self, reading: NextReading) -> str:
        """Return why a wallet is read next at that time; '' if nothing decided it, or it is always the same."""
        if reading.reason is None or reading.reason is ReadReason.REGULAR:
            return ""
        category = "" if reading.category is None else self.category(reading.category)
        return self.translate(Sentence(REASON_TEXTS[reading.reason].id, {"category": category}))

    def order_state(self, state: OrderState) -> str:
        """Return the name of an order's state."""
        if state is OrderState.OPEN:
            # in Chinese, an open order has another word than an open alert
            return catalogue(self.language).pgettext("order", "open")
        return self.translate(_ORDER_STATES[state])

    def kind(self, kind: AlertKind) -> str:
        """Return the name of a kind of alert."""
        return self.translate(_KINDS[kind])

    def reason(self, reason: Reason) -> str:
        """Return the name of a message's reason."""
        return self.translate(_REASONS[reason])

    def cause(self, cause: Cause) -> str:
        """Return why an alert was closed, as a clause."""
        return self.translate(_CAUSES[cause])

    def why_closed(self, message: AlertMessage) -> str:
        """Return why the alert of a message was closed, as a clause; '' if it is open."""
        cause, crossed = message.alert.closed_because, message.measurement.crossed
        if cause is Cause.ROSE and crossed is not None and crossed.is_by_days:
            return self.gettext("it lasts long enough again")  # the balance itself may have fallen
        return self.cause(cause) if cause else ""

    def role(self, role: Role) -> str:
        """Return the name of a role."""
        return self.translate(_ROLES[role])

    def column(self, column: str) -> str:
        """Return the name of a column of thresholds; an unknown column keeps its name."""
        return self.translate(_COLUMNS[column]) if column in _COLUMNS else column

    # limits, surges and orders

    def crossed(self, crossed: Crossed) -> str:
        """Return which limit was crossed, and by what: the cause of a `low_balance` alert."""
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
        """Return which limit was crossed, or what a balance above its limits needs to recover; '' = neither."""
        measured = message.measurement
        if message.is_recovering:
            return self.gettext(
                "%(value)s, above its limits; it recovers at %(bars)s",
                value=self.reading(measured.reading),
                bars=self.all_of(self.bar(*bar) for bar in measured.short_of),
            )
        return self.crossed(measured.crossed) if measured.crossed else ""

    def bar(self, column: LimitColumn, bar: float) -> str:
        """Return what a balance must reach: `5,500 messages`, `3.3 days of runway`."""
        if column in COUNTS:
            return self.messages(int(bar))
        return self.gettext("%(days)s of runway", days=self.days(bar))

    def planned(self, planned: PlannedUse) -> str:
        """Return what was announced or is expected, and when it begins."""
        if planned.is_expected:
            return self.gettext(
                "Expected, as on earlier such days: about %(messages)s from %(at)s",
                messages=self.messages(planned.messages),
                at=self.when(planned.starts_at),
            )
        text = self.gettext(
            "Planned: %(messages)s from %(at)s",
            messages=self.messages(planned.messages),
            at=self.when(planned.starts_at),
        )
        return self.gettext("%(value)s (%(range)s)", value=text, range=planned.note) if planned.note else text

    def planned_ahead(self, planned: Sequence[PlannedUse]) -> str:
        """Return the next of several sends, and how many messages all others are; '' = none."""
        if not planned:
            return ""
        first, *others = sorted(planned, key=lambda send: send.starts_at)
        if not others:
            return self.planned(first)
        return self.gettext(
            "%(first)s; %(count)s more until %(date)s: %(messages)s",
            first=self.planned(first),
            count=len(others),
            date=self.date(others[-1].starts_at),
            messages=self.messages(sum(send.messages for send in others)),
        )

    def surge(self, surge: SpikeMeasurement | None) -> str:
        """Return how much was used in how short a time, compared with the usual; '' = no spike."""
        if surge is None:
            return ""
        messages, span = self.messages(surge.messages), self.elapsed(surge.until - surge.since)
        if surge.expected < 1:
            return self.gettext(
                "%(messages)s in %(span)s, where usually fewer than one is sent", messages=messages, span=span
            )
        return self.gettext(
            "%(messages)s in %(span)s, about %(factor)s times the usual %(expected)s",
            messages=messages,
            span=span,
            factor=self.number(surge.messages / surge.expected),
            expected=self.number(surge.expected),
        )

    def at_this_pace(self, hours: float) -> str:
        """Return how long a balance lasts if a usage spike continues."""
        return self.gettext("%(runway)s at this pace", runway=self.duration(hours))

    def not_counted(self, messages: int, at: datetime | None, *, is_spike: bool = False) -> str:
        """Return the burst that the usage rate leaves out, as the text next to a label that says so; '' = none.

        Doesn't ask to announce a burst that looks like abuse.
        """
        if messages <= 0 or at is None:
            return ""
        text = self.gettext(
            "%(messages)s sent in a burst from %(at)s",
            messages=self.number(messages),
            at=self.when(at),
        )
        day = at.astimezone(self.zone).date()
        if not is_spike and (day.day in _MONTHLY or (day + timedelta(days=1)).day == 1):
            return self.gettext("%(text)s; if it comes every month, announce it", text=text)
        return text

    def why(self, message: AlertMessage) -> str:
        """Return the cause of an alert: the crossed limit, the surge, or the failure; '' = none."""
        measured = message.measurement
        return self.limit(message) or self.surge(measured.spike) or self.translate(measured.detail)

    def done_to_alert(self, reason: Reason, severity: Severity, subject: AlertSubject) -> str:
        """Return what happened to an alert: `opened a warning alert for acme/delivery industry`."""
        name = " ".join(
            [subject.wallet, *([] if subject.category is None else [self.category(subject.category)])]
        )
        figures = {"severity": self.severity(severity), "name": name}
        match reason:
            case Reason.OPENED:
                return self.gettext("opened a %(severity)s alert for %(name)s", **figures)
            case Reason.WORSENED:
                return self.gettext("raised the alert for %(name)s to %(severity)s", **figures)
            case Reason.REMINDER:
                return self.gettext("sent a reminder of the alert for %(name)s", **figures)
            case Reason.ESCALATED:
                return self.gettext("escalated the alert for %(name)s", **figures)
            case Reason.TOPPED_UP:
                return self.gettext("told of the top-up of %(name)s", **figures)
            case Reason.RECOVERED:
                return self.gettext("%(name)s has recovered", **figures)
            case Reason.CLOSED:
                return self.gettext("closed the alert for %(name)s", **figures)

    def working_day(self, order_by: datetime) -> date:
        """Return the last working day that is early enough to act."""
        return working_day_before(order_by, self.zone, self.holidays)

    def arrives_on(self, now: datetime, lead_time: timedelta) -> date:
        """Return the working day on which an order that is placed now should arrive."""
        return working_day_from(now + lead_time, self.zone, self.holidays)

    def act_by(self, order_by: datetime, *, now: datetime) -> str:
        """Return the last working day that is early enough to act; '' if that is today or past."""
        day = self.working_day(order_by)
        if day <= self.local(now).date():
            return ""
        noon = datetime.combine(day, time(12), self.zone)
        return self.date(noon) if noon - now < timedelta(days=60) else self.day(noon)

    def order(self, advice: OrderAdvice | None, category: Category | None, *, now: datetime) -> str:
        """Return how much to move and buy by when; '' = nothing."""
        if advice is None or category is None:
            return ""
        if advice.stop_first:
            return self.gettext("Buy nothing yet: the sending must be stopped first")
        reserve = self.reserve(advice, category)
        if not advice.is_needed or advice.order_by is None:
            return reserve
        order = self._order(advice, category, now=now)
        return self.gettext("%(order)s. %(reserve)s", order=order, reserve=reserve) if reserve else order

    def reserve(self, advice: OrderAdvice, category: Category) -> str:
        """Write which universal quota takes over when a balance is empty; '' where none was seen to."""
        if advice.instead_of:
            return self.gettext(
                "It is used because %(categories)s is empty: buy that, not universal",
                categories=self.listed([self.category(empty) for empty in advice.instead_of]),
            )
        if not advice.reserve:
            return ""
        if advice.reserve_in_use or advice.reserve_seen_at is None:
            return self.gettext(
                "Since %(category)s is empty, universal SMS are used instead: %(count)s are left",
                category=self.category(category),
                count=self.number(advice.reserve),
            )
        return self.gettext(
            "%(count)s universal SMS can take over: they were used when %(category)s was empty on %(date)s",
            count=self.number(advice.reserve),
            category=self.category(category),
            date=self.day(advice.reserve_seen_at),
        )

    def _order(self, advice: OrderAdvice, category: Category, *, now: datetime) -> str:
        if advice.order_by is None:
            return ""
        by = self.act_by(advice.order_by, now=now)
        figures = {
            "by": by,
            "count": self.number(advice.messages or advice.move),
            "moved": self.number(advice.move),
            "category": self.category(category),
            "until": self.ahead(advice.until, now=now),
            "certainty": round(advice.confidence * 100),
        }
        if advice.move and not advice.messages:
            if not by:
                return self.gettext(
                    "Move %(count)s %(category)s SMS here from the shared pool now and buy nothing:"
                    " enough until %(until)s (%(certainty)s %% sure)",
                    **figures,
                )
            return self.gettext(
                "Move %(count)s %(category)s SMS here from the shared pool by %(by)s and buy nothing:"
                " enough until %(until)s (%(certainty)s %% sure)",
                **figures,
            )
        if advice.move:
            if not by:
                return self.gettext(
                    "Move %(moved)s %(category)s SMS here from the shared pool and buy about %(count)s more now:"
                    " enough until %(until)s (%(certainty)s %% sure)",
                    **figures,
                )
            return self.gettext(
                "Move %(moved)s %(category)s SMS here from the shared pool and buy about %(count)s more by %(by)s:"
                " enough until %(until)s (%(certainty)s %% sure)",
                **figures,
            )
        if not by:
            return self.gettext(
                "Buy about %(count)s %(category)s SMS now: enough until %(until)s (%(certainty)s %% sure)",
                **figures,
            )
        return self.gettext(
            "Buy about %(count)s %(category)s SMS by %(by)s: enough until %(until)s (%(certainty)s %% sure)",
            **figures,
        )

    def with_ordered(self, order: str, advice: OrderAdvice | None, *, now: datetime) -> str:
        """Add to the text of an advice how much is on order already, which `messages` doesn't include."""
        if advice is None or not advice.ordered or advice.stop_first:
            return order
        if advice.is_needed:
            return self.gettext(
                "%(order)s; %(count)s are on order already", order=order, count=self.number(advice.ordered)
            )
        enough = self.gettext(
            "Nothing more to buy: with %(count)s on order it is enough until %(until)s (%(certainty)s %% sure)",
            count=self.number(advice.ordered),
            until=self.ahead(advice.until, now=now),
            certainty=round(advice.confidence * 100),
        )
        return self.gettext("%(order)s. %(reserve)s", order=enough, reserve=order) if order else enough

    def order_total(
        self, messages: Mapping[Category, int], *, order_by: datetime | None = None, now: datetime
    ) -> str:
        """Return how much to buy of each category in total, and when the first is due; '' = nothing."""
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
        by = self.act_by(order_by, now=now)
        if not by:
            return self.gettext("Buy in total about %(orders)s SMS, the first of it now", orders=orders)
        return self.gettext(
            "Buy in total about %(orders)s SMS, the first of it by %(by)s",
            orders=orders,
            by=by,
        )
