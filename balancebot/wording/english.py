"""The words in English."""

from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Category
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Severity
from balancebot.wording.vocabulary import Vocabulary

ENGLISH = Vocabulary(
    severities={
        Severity.UNKNOWN: "unknown",
        Severity.OK: "ok",
        Severity.WARNING: "warning",
        Severity.CRITICAL: "critical",
        Severity.DEPLETED: "depleted",
    },
    categories={
        Category.UNIVERSAL: "universal",
        Category.VOICE: "voice",
        Category.INDUSTRY: "industry",
        Category.MARKET: "market",
    },
    kinds={
        AlertKind.LOW_BALANCE: "low balance",
        AlertKind.BURN_SPIKE: "burn spike",
        AlertKind.CREDENTIALS_REJECTED: "credentials rejected",
        AlertKind.STALE: "no reading",
    },
    reasons={
        Reason.OPENED: "opened",
        Reason.WORSENED: "worsened",
        Reason.REMINDER: "reminder",
        Reason.RECOVERED: "recovered",
    },
    causes={
        Cause.ROSE: "it rose past its limits",
        Cause.LIMIT_CHANGED: "its limit was changed",
        Cause.UNALLOCATED: "its quota is no longer allocated",
        Cause.WALLET_REMOVED: "its wallet left the configuration",
        Cause.READ_AGAIN: "it can be read again",
        Cause.CREDENTIALS_INSTEAD: "it answers again, but rejects the credentials",
        Cause.USE_NORMAL: "its use is normal again",
    },
    limits={
        LimitColumn.WARNING_BELOW: "warning limit",
        LimitColumn.CRITICAL_BELOW: "critical limit",
        LimitColumn.WARNING_DAYS: "warning limit",
        LimitColumn.CRITICAL_DAYS: "critical limit",
    },
    unread="not read yet",
    unallocated="unallocated",
    unknown="unknown",
    endless="no end in sight",
    emptied="none left",
    no_use="no use",
    a_day="{} a day",
    one_message="1 message",
    messages="{} messages",
    minutes="{} min",
    hours="{} h",
    one_day="1 day",
    days="{} days",
    between="{} to {}",
    at_least="{} or more",
    ranged="{} ({})",
    zero_crossed="nothing is left",
    count_crossed="{value}, below the {name} of {limit}",
    days_crossed="{value} to count on, below the {name} of {limit}",
    scope=" (set for {})",
    order="Buy about {count} {category} SMS by {by}: enough until {until} ({certainty} % sure)",
    order_now="Buy about {count} {category} SMS now: enough until {until} ({certainty} % sure)",
    order_total="Buy about {parts} SMS in all{by}",
    first_order=", the first by {}",
    first_order_now=", the first now",
    order_part="{count} {category}",
    and_then=", ",
    planned="Planned: {messages} messages from {at}{note}",
    surge="{messages} in {span}, about {factor} times the usual {expected}",
    surge_from_nothing="{messages} in {span}, when there is usually almost no use",
    weekdays=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    date="{weekday} {day} {month}",
    date_of_year="{day} {month} {year}",
)
