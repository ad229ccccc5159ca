"""Turns frozen facts into plain values for templates: text, numbers, booleans, lists. Nothing else goes in.

A template is a stranger's: whatever it is given here, it can read. Texts from outside lose their line breaks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from balancebot.domain.message import AlertFacts, ChannelFailureFacts, GroupFacts, TestFacts
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording, mark, number, sparkline

T = TypeVar("T")
View: TypeAlias = dict[str, Any]
"""What a template sees under one name; plain values only."""

MAX_MEMBERS = 100
"""How many members of a group a message names one by one."""
MAX_WALLETS = 12
"""How many wallets of an account's alert it names: enough to see which, and what to do stays in sight."""
MAX_NOTES = 5
"""How many different notes stand below the members of a group in Slack."""
_LONGEST_TEXT = 600
LONGEST_PLAN = 160
"""How much of an announced send is said."""
_SHOWN_ID = 8
"""How much of a group's id people see."""
_MOST_PLANS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert in words and figures; '' stands for what there isn't."""

    id: str
    kind: str
    kind_word: str
    reason: str
    closed: bool
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
    """Whether there is a number to speak of."""
    empty: bool
    """Whether nothing is left."""
    balance: str
    messages: str
    runway: str
    """In brief, without its range: `≈ 9 h`; '' where it is unknown or 0."""
    runway_range: str
    burn: str
    limit: str
    empty_at: str
    spark: str
    note: str
    advice: str
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
    """Who had ordered the top-up that hasn't come; '' = nothing is overdue."""
    promised_for: str
    promised_note: str
    silenced_until: str
    flaps: int
    """Flapping: how often it has opened or worsened within 24 hours; 0 = it doesn't flap."""
    calm_for: str
    """Flapping: how long it has to stay well."""
    calm_since: str
    well_at: str
    """Flapping: when it is told as recovered if it stays well."""
    relapses: int
    """Flapping: how often it fell back without a word."""
    link: str


def one_line(text: str, *, at_most: int = _LONGEST_TEXT) -> str:
    """Return a text from outside on one line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= at_most else f"{line[: at_most - 1]}…"


def wallet_link(public_url: str, wallet: str) -> str:
    """Return the address of a wallet's page; '' where there are no web pages."""
    return f"{public_url.rstrip('/')}/wallets/{quote(wallet)}" if public_url else ""


def alert_view(facts: AlertFacts, words: Wording, *, public_url: str) -> View:
    """Say one alert."""
    closed = facts.closed_at is not None
    runway = facts.runway
    flapping = facts.flapping
    calm_for = timedelta(hours=flapping.hours if flapping else 0)
    calm_since = flapping.calm_since if flapping else None
    shown = Severity.OK if closed else facts.severity
    view = AlertView(
        id=facts.alert_id,
        kind=facts.kind.value,
        kind_word=words.kind(facts.kind),
        reason=facts.reason.value if facts.reason else "",
        closed=closed,
        unheard=facts.opened_unheard,
        severity=shown.word,
        severity_word=words.severity(shown),
        was_word="" if facts.previous is None else words.severity(facts.previous),
        mark=mark(shown),
        wallet=facts.wallet,
        category=facts.category.value if facts.category else "",
        category_word=words.category(facts.category) if facts.category else "",
        members=list(facts.members[:MAX_WALLETS]),
        num_members=len(facts.members),
        num_more_members=max(0, len(facts.members) - MAX_WALLETS),
        known=isinstance(facts.reading, int),
        empty=facts.reading == 0,
        balance=words.cell(facts.reading),
        messages=words.reading(facts.reading),
        runway=words.duration(runway.p50) if runway and runway.p50 > 0 else "",
        runway_range=words.runway(runway),
        burn=words.burn(facts.burn_per_day),
        limit="" if calm_since else words.limit(facts),
        empty_at=words.ahead(facts.depletes_at, now=facts.at) if facts.depletes_at and facts.reading else "",
        spark=sparkline(facts.recent) if len(facts.recent) > 1 else "",
        note=one_line(facts.note),
        advice=words.order(facts.advice, facts.category, now=facts.at),
        planned=[
            one_line(words.planned(planned), at_most=LONGEST_PLAN) for planned in facts.planned[:_MOST_PLANS]
        ],
        surge=words.surge(facts.surge),
        detail=one_line(words.trouble(facts.detail.removeprefix(f"{facts.wallet}: "))),
        at=words.when(facts.at),
        opened_at=words.when(facts.opened_at),
        open_for=words.elapsed((facts.closed_at or facts.at) - facts.opened_at),
        observed_at=words.when(facts.observed_at) if facts.observed_at else "",
        cause=words.cause(facts.cause) if facts.cause else "",
        acknowledged_by=one_line(facts.acknowledged_by),
        acknowledged_note=one_line(facts.acknowledged_note),
        expects_by=words.when(facts.expects_by) if facts.expects_by else "",
        promised_by=one_line(facts.broken.by) if facts.broken else "",
        promised_for=words.when(facts.broken.expected_by) if facts.broken else "",
        promised_note=one_line(facts.broken.note) if facts.broken else "",
        silenced_until=words.when(facts.silenced_until) if facts.silenced_until else "",
        flaps=flapping.times if flapping else 0,
        calm_for=words.elapsed(calm_for),
        calm_since=words.when(calm_since) if calm_since else "",
        well_at=words.when(calm_since + calm_for) if calm_since else "",
        relapses=flapping.relapses if flapping else 0,
        link=_alert_link(facts, public_url),
    )
    return {field.name: getattr(view, field.name) for field in fields(view)}


def _alert_link(facts: AlertFacts, public_url: str) -> str:
    if public_url and facts.members:
        return f"{public_url.rstrip('/')}/alerts"
    return wallet_link(public_url, facts.wallet)


def group_view(facts: GroupFacts, words: Wording, *, public_url: str) -> View:
    """Say many alerts at once: the open ones first, the worst of them first; what holds for all of these once."""
    seen_by = _shared(member.acknowledged_by for member in facts.members if member.closed_at is None)
    silent_until = _shared(member.silenced_until for member in facts.members if member.closed_at is None)
    members = [
        replace(
            member,
            acknowledged_by="" if seen_by else member.acknowledged_by,
            silenced_until=None if silent_until else member.silenced_until,
        )
        for member in sorted(facts.members, key=_urgency)
    ]
    new = [member for member in members if member.alert_id in facts.new]
    still_open = [member for member in members if member.closed_at is None]
    worst = max((member.severity for member in still_open), default=Severity.OK)
    return {
        "id": facts.group_id[:_SHOWN_ID],
        "at": words.when(facts.at),
        "mark": mark(worst),
        "severity": worst.word,
        "severity_word": words.severity(worst),
        "num_members": len(members),
        "num_open": len(still_open),
        "counts": [
            {
                "severity": severity.word,
                "mark": mark(severity),
                "word": words.severity(severity),
                "count": number(count),
            }
            for severity in sorted(Severity, reverse=True)
            if (count := sum(member.severity == severity for member in still_open))
        ],
        "members": [alert_view(member, words, public_url=public_url) for member in members[:MAX_MEMBERS]],
        "num_more": max(0, len(members) - MAX_MEMBERS),
        "new": [alert_view(member, words, public_url=public_url) for member in new[:MAX_MEMBERS]],
        "num_new": len(new),
        "num_more_new": max(0, len(new) - MAX_MEMBERS),
        "acknowledged_by": one_line(seen_by or ""),
        "silenced_until": words.when(silent_until) if silent_until else "",
        "notes": _notes(still_open),
        "new_notes": _notes(new),
        "link": f"{public_url.rstrip('/')}/alerts" if public_url else "",
    }


def _shared(values: Iterable[T]) -> T | None:
    """Return what is the same for several; None where they differ, or where there is only one."""
    all_of_them = list(values)
    return all_of_them[0] if len(all_of_them) > 1 and len(set(all_of_them)) == 1 else None


def _notes(members: Iterable[AlertFacts]) -> list[str]:
    """Return what the members' rows say of whom to ask, each once: in a storm many share one."""
    return list(dict.fromkeys(one_line(member.note) for member in members if member.note))[:MAX_NOTES]


def _urgency(facts: AlertFacts) -> tuple[bool, int, float, str]:
    return (facts.closed_at is not None, -facts.severity, _hours_left(facts), facts.wallet)


def _hours_left(facts: AlertFacts) -> float:
    return facts.runway.p50 if facts.runway else float("inf")


def notice_view(facts: TestFacts | ChannelFailureFacts, words: Wording, *, public_url: str) -> View:
    """Say a test, or the trouble of the other channel."""
    trouble = facts if isinstance(facts, ChannelFailureFacts) else None
    return {
        "trouble": trouble is not None,
        "at": words.when(facts.at),
        "zone": words.zone_name,
        "channel": trouble.channel if trouble else "",
        "destination": trouble.destination if trouble else "",
        "message": one_line(words.trouble(trouble.message)) if trouble else "",
        "link": public_url,
    }
