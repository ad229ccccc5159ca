"""What a language must have a word for. A form with `{}` takes the figure that it speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass

from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Category
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """One language's words."""

    severities: Mapping[Severity, str]
    categories: Mapping[Category, str]
    kinds: Mapping[AlertKind, str]
    reasons: Mapping[Reason, str]
    causes: Mapping[Cause, str]
    limits: Mapping[LimitColumn, str]
    unread: str
    unallocated: str
    unknown: str
    endless: str
    emptied: str
    no_use: str
    a_day: str
    one_message: str
    messages: str
    minutes: str
    hours: str
    one_day: str
    days: str
    between: str
    at_least: str
    ranged: str
    zero_crossed: str
    count_crossed: str
    days_crossed: str
    scope: str
    held: str
    count_bar: str
    days_bar: str
    both_bars: str
    order: str
    order_now: str
    order_total: str
    first_order: str
    first_order_now: str
    order_part: str
    and_then: str
    planned: str
    surge: str
    surge_from_nothing: str
    weekdays: tuple[str, ...]
    date: str
    date_of_year: str
