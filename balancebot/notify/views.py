"""Turn messages into plain values for templates: only text, numbers, booleans and lists.

Templates are untrusted and can read everything that is passed here. Texts from outside are put on one line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from balancebot.catalogue import ANY_MINUTE, number, sparkline
from balancebot.domain.alert import Alert, Cause, Reason
from balancebot.domain.local_time import add_span
from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    GroupMessage,
    NoticeMessage,
    SilenceMessage,
    TestMessage,
)
from balancebot.domain.sentence import Sentence
from balancebot.domain.verdict import Severity, urgency
from balancebot.i18n import Wording, mark

T = TypeVar("T")
View: TypeAlias = dict[str, Any]
"""The values that a template sees under one name."""

MAX_MEMBERS = 100
"""How many members of a group a message lists."""
MAX_WALLETS = 12
"""How many wallets of an account's alert a message lists; with more, what to do would be too far down."""
MAX_NOTES = 5
"""How many different notes a message shows below the members of a group in Slack."""
_LONGEST_TEXT = 600
LONGEST_PLAN = 160
"""The limit for a planned send or a note in a list, in characters."""
_SHOWN_ID = 8
"""How many characters of a group's id are shown."""
_MOST_PLANS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert in words and figures; '' means that there is no such value."""

    id: str
    kind: str
    kind_word: str
    reason: str
    closed: bool
    recovered: bool
    """Whether it ended by a recovery; an alert that is closed but not recovered is shown in grey."""
    unheard: bool
    severity: str
    severity_word: str
    was_word: str
    mark: str
    wallet: str
    category: str
    category_word: str
    members: list[str]
    num_members: int
    num_more_members: int
    known: bool
    """Whether the reading is a number."""
    empty: bool
    """Whether the balance is 0."""
    covered: bool
    """Whether the balance is empty and universal quota is used instead."""
    balance: str
    messages: str
    runway: str
    """In short, without its range: `≈ 9 h`; '' if it is unknown or 0."""
    runway_range: str
    at_this_pace: bool
    """Whether the runway is based on the rate of a usage spike, not on the expected usage."""
    burn: str
    limit: str
    not_counted: str
    """The burst that the usage rate leaves out; '' = none."""
    empty_at: str
    empty_soon: bool
    """Whether `empty_at` says "any minute"."""
    spark: str
    note: str
    advice: str
    pool_is_empty: bool
    """Whether the account's shared pool has nothing to give to this app."""
    planned: list[str]
    surge: str
    detail: str
    at: str
    opened_at: str
    open_for: str
    observed_at: str
    cause: str
    acknowledged_by: str
    acknowledged_note: str
    expects_by: str
    promised_by: str
    """Who ordered the top-up that is overdue; '' = none is."""
    promised_for: str
    promised_note: str
    arrived: str
    """How many messages of an insufficient top-up arrived; '' if that isn't the reason."""
    silenced_until: str
    unacknowledged_for: str
    """How long nobody has acknowledged it, if that is the reason of the message; otherwise ''."""
    escalated_at: str
    flaps: int
    """Flapping: how often it has opened or worsened within 24 hours; 0 = it doesn't flap."""
    calm_for: str
    """Flapping: how long it must stay well."""
    calm_since: str
    well_at: str
    """Flapping: when it recovers if it stays well."""
    relapses: int
    """Flapping: how often it fell below its limits again without a message."""
    link: str


def one_line(text: str, *, at_most: int = _LONGEST_TEXT) -> str:
    """Return a text from outside on one line, cut if it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= at_most else f"{line[: at_most - 1]}…"


def wallet_link(public_url: str, wallet: str) -> str:
    """Return the URL of a wallet's page; '' if there are no web pages."""
    return f"{public_url.rstrip('/')}/wallets/{quote(wallet)}" if public_url else ""


def alert_view(message: AlertMessage, words: Wording, *, public_url: str) -> View:
    """Return the values of one alert."""
    alert, measured, context = message.alert, message.measurement, message.context
    wallet, category = alert.subject.wallet, alert.subject.category
    runway = measured.runway
    # for a spike its own rate counts: with the usual one there would seem to be time
    pace = _pace(message)
    calm_since = alert.calm_since if alert.is_flapping else None
    missed = message.missed_top_up
    empty_at = measured.depletes_at if measured.reading else None
    if pace and measured.observed_at:
        empty_at = add_span(measured.observed_at, pace)
    ended = Severity.OK if alert.has_recovered else Severity.UNKNOWN
    shown = alert.severity if message.is_open else ended
    was = message.previous_peak if message.is_open else alert.peak
    view = AlertView(
        id=message.alert_id,
        kind=alert.subject.kind.value,
        kind_word=words.kind(alert.subject.kind),
        reason=message.reason.value if message.reason else "",
        closed=not message.is_open,
        recovered=alert.has_recovered,
        unheard=message.opening_undelivered,
        severity=shown.word,
        severity_word=words.severity(shown),
        was_word="" if was is None else words.severity(was),
        mark=mark(shown),
        wallet=wallet,
        category=category.value if category else "",
        category_word=words.category(category) if category else "",
        members=list(alert.members[:MAX_WALLETS]),
        num_members=len(alert.members),
        num_more_members=max(0, len(alert.members) - MAX_WALLETS),
        # what another alert goes on with is shown there
        known=isinstance(measured.reading, int) and alert.closed_because is not Cause.LOW_BALANCE_INSTEAD,
        empty=measured.reading == 0,
        covered=context.advice is not None and context.advice.reserve_in_use,
        balance=words.cell(measured.reading),
        messages=words.reading(measured.reading),
        runway=words.duration(_hours(pace))
        if pace
        else words.duration(runway.p50)
        if runway and runway.p50 > 0
        else "",
        runway_range=words.at_this_pace(_hours(pace)) if pace else words.runway(runway),
        at_this_pace=bool(pace),
        burn=words.burn(measured.burn_per_day),
        limit="" if calm_since else words.limit(message),
        not_counted=words.not_counted(
            measured.not_counted, measured.not_counted_at, is_spike=measured.spike is not None
        ),
        empty_at="" if empty_at is None else words.expected(empty_at, now=message.at),
        empty_soon=empty_at is not None and empty_at - message.at < ANY_MINUTE,
        spark=sparkline(context.recent) if len(context.recent) > 1 else "",
        note=one_line(context.note),
        advice=words.with_ordered(
            words.order(context.advice, category, now=message.at), context.advice, now=message.at
        ),
        pool_is_empty=context.pool_is_empty,
        planned=[
            one_line(words.planned(planned), at_most=LONGEST_PLAN)
            for planned in context.planned[:_MOST_PLANS]
        ],
        surge=words.surge(measured.spike),
        detail=one_line(words.translate(_about_wallet(measured.detail, wallet))),
        at=words.when(message.at),
        opened_at=words.when(alert.opened_at),
        open_for=words.elapsed((alert.closed_at or message.at) - alert.opened_at),
        observed_at=words.when(measured.observed_at) if measured.observed_at else "",
        cause=words.why_closed(message),
        acknowledged_by=one_line(alert.acknowledged_by),
        acknowledged_note=one_line(alert.acknowledged_note),
        expects_by=words.when(alert.expects_by) if alert.expects_by else "",
        promised_by=one_line(missed.by) if missed else "",
        promised_for=words.when(missed.expected_by) if missed else "",
        promised_note=one_line(missed.note) if missed else "",
        arrived=words.messages(message.arrived) if message.arrived else "",
        silenced_until=words.when(context.silenced_until) if context.silenced_until else "",
        unacknowledged_for=_unacknowledged_for(message, words),
        escalated_at=words.when(alert.escalated_at) if alert.escalated_at else "",
        flaps=alert.flaps if alert.is_flapping else 0,
        calm_for=words.elapsed(alert.calm_for),
        calm_since=words.when(calm_since) if calm_since else "",
        well_at=words.when(add_span(calm_since, alert.calm_for)) if calm_since else "",
        relapses=alert.relapses if alert.is_flapping else 0,
        link=_alert_link(alert, public_url),
    )
    return {field.name: getattr(view, field.name) for field in fields(view)}


def _unacknowledged_for(message: AlertMessage, words: Wording) -> str:
    alert = message.alert
    is_escalation = message.is_open and message.reason is Reason.ESCALATED and not alert.acknowledged_at
    return words.elapsed(message.at - alert.raised_at) if is_escalation and alert.raised_at else ""


def _pace(message: AlertMessage) -> timedelta | None:
    """Return how long the balance lasts at the rate of an open usage spike; None if there is none."""
    measured = message.measurement
    if not message.is_open or measured.spike is None or not isinstance(measured.reading, int):
        return None
    return measured.spike.lasts(measured.reading)


def _hours(time: timedelta) -> float:
    return time / timedelta(hours=1)


def _about_wallet(detail: Sentence, wallet: str) -> Sentence:
    """Return why a wallet can't be read, without the wallet's name if the alert shows it already."""
    fault = detail.parts.get("fault")
    return fault if detail.parts.get("wallet") == wallet and isinstance(fault, Sentence) else detail


def _alert_link(alert: Alert, public_url: str) -> str:
    if public_url and alert.members:
        return f"{public_url.rstrip('/')}/alerts"
    return wallet_link(public_url, alert.subject.wallet)


def group_view(group: GroupMessage, words: Wording, *, public_url: str) -> View:
    """Return the values of a group: open alerts first, the worst first; a value that all open ones share is shown once."""
    members = sorted(group.members, key=_urgency)
    still_open = [member for member in members if member.is_open]
    acknowledged_by = _shared(member.alert.acknowledged_by for member in still_open)
    silenced_until = _shared(member.context.silenced_until for member in still_open)
    unacknowledged_for = _shared(_unacknowledged_for(member, words) for member in still_open)
    of_all = {
        "acknowledged_by": acknowledged_by,
        "silenced_until": silenced_until,
        "unacknowledged_for": unacknowledged_for,
    }
    shown_once = {name: "" for name, shared in of_all.items() if shared}
    view = partial(alert_view, words=words, public_url=public_url)
    new = [member for member in members if member.alert_id in group.new]
    all_recovered = all(member.alert.has_recovered for member in members if not member.is_open)
    ended = Severity.OK if all_recovered else Severity.UNKNOWN
    worst = max((member.alert.severity for member in still_open), default=ended)
    return {
        "id": group.group_id[:_SHOWN_ID],
        "at": words.when(group.at),
        "mark": mark(worst),
        "severity": worst.word,
        "severity_word": words.severity(worst),
        "num_members": len(members),
        "num_open": len(still_open),
        "all_recovered": all_recovered,
        "counts": [
            {
                "severity": severity.word,
                "mark": mark(severity),
                "word": words.severity(severity),
                "count": number(count),
            }
            for severity in sorted(Severity, reverse=True)
            if (count := sum(member.alert.severity == severity for member in still_open))
        ],
        "members": [view(member) | shown_once for member in members[:MAX_MEMBERS]],
        "num_more": max(0, len(members) - MAX_MEMBERS),
        "new": [view(member) | shown_once for member in new[:MAX_MEMBERS]],
        "num_new": len(new),
        "num_more_new": max(0, len(new) - MAX_MEMBERS),
        "acknowledged_by": one_line(acknowledged_by or ""),
        "silenced_until": words.when(silenced_until) if silenced_until else "",
        "unacknowledged_for": unacknowledged_for or "",
        "notes": _notes(still_open),
        "new_notes": _notes(new),
        "link": f"{public_url.rstrip('/')}/alerts" if public_url else "",
    }


def _shared(values: Iterable[T]) -> T | None:
    """Return the value that all of several items share; None if they differ, or if there is only one item."""
    all_of_them = list(values)
    return all_of_them[0] if len(all_of_them) > 1 and len(set(all_of_them)) == 1 else None


def _notes(members: Iterable[AlertMessage]) -> list[str]:
    """Return the different notes of the members: in a large group many have the same one."""
    return list(dict.fromkeys(one_line(note) for member in members if (note := member.context.note)))[
        :MAX_NOTES
    ]


def _urgency(message: AlertMessage) -> tuple[bool, int, float, str]:
    alert = message.alert
    return not message.is_open, *urgency(alert.severity, message.measurement.runway), alert.subject.wallet


def notice_view(
    notice: TestMessage | ChannelFailureMessage | SilenceMessage | NoticeMessage,
    words: Wording,
    *,
    public_url: str,
) -> View:
    """Return the values of a message that isn't about an alert: a test, a channel's failure, a broad silence, a notice."""
    failure = notice if isinstance(notice, ChannelFailureMessage) else None
    silence = notice if isinstance(notice, SilenceMessage) else None
    other = notice if isinstance(notice, NoticeMessage) else None
    return {
        "silenced": one_line(silence.pattern) if silence else "",
        "until": words.when(silence.until) if silence else "",
        "by": one_line(silence.created_by) if silence else "",
        "reason": one_line(silence.reason) if silence else "",
        "num_wallets": silence.num_wallets if silence else 0,
        "num_urgent": silence.num_urgent if silence else 0,
        "silence_id": str(silence.silence_id) if silence else "",
        "is_repeated": bool(silence and silence.is_repeated),
        "trouble": failure is not None or (other is not None and other.is_trouble),
        "at": words.when(notice.at),
        "zone": words.zone_name,
        "channel": failure.channel if failure else "",
        "destination": failure.destination if failure else "",
        "message": one_line(words.translate(failure.message)) if failure else "",
        "title": one_line(words.translate(other.title)) if other else "",
        "lines": [one_line(words.translate(line)) for line in other.lines] if other else [],
        "link": public_url + other.path if other and public_url else public_url,
    }
