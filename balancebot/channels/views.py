"""Turns frozen facts into plain values for templates: text, numbers, booleans, lists. Nothing else goes in.

A template is a stranger's: whatever it is given here, it can read. Texts from outside lose their line breaks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import quote

from balancebot.domain.balance import Category
from balancebot.domain.notification import (
    AlertFacts,
    DigestFacts,
    DigestLine,
    GroupFacts,
    TestFacts,
    TroubleFacts,
)
from balancebot.domain.verdict import Severity
from balancebot.wording import Wording, mark, number, sparkline

View: TypeAlias = dict[str, Any]
"""What a template sees under one name; plain values only."""

MAX_MEMBERS = 100
"""How many members of a group a message names one by one."""
MAX_WALLETS = 12
"""How many wallets of an account's alert it names: enough to see which, and what to do stays in sight."""
MAX_LINES = 200
"""How many balances an e-mailed digest lists."""
MAX_NOTES = 5
"""How many different notes stand below the members of a group in Slack."""
_LONGEST_TEXT = 600
_LONGEST_PLAN = 160
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
    """Flapping: how often it has opened within 24 hours; 0 = it doesn't flap."""
    calm_for: str
    """Flapping: how long it has to stay well."""
    calm_since: str
    well_at: str
    """Flapping: when it is told as recovered if it stays well."""
    relapses: int
    """Flapping: how often it fell back without a word."""
    link: str


def _one_line(text: str, *, at_most: int = _LONGEST_TEXT) -> str:
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
        limit=words.crossed(facts.crossed) if facts.crossed and not calm_since else "",
        empty_at=words.ahead(facts.depletes_at, now=facts.at) if facts.depletes_at and facts.reading else "",
        spark=sparkline(facts.recent) if len(facts.recent) > 1 else "",
        note=_one_line(facts.note),
        advice=words.order(facts.advice, facts.category, now=facts.at),
        planned=[
            _one_line(words.planned(planned), at_most=_LONGEST_PLAN)
            for planned in facts.planned[:_MOST_PLANS]
        ],
        surge=words.surge(facts.surge),
        detail=_one_line(words.trouble(facts.detail.removeprefix(f"{facts.wallet}: "))),
        at=words.when(facts.at),
        opened_at=words.when(facts.opened_at),
        open_for=words.elapsed((facts.closed_at or facts.at) - facts.opened_at),
        observed_at=words.when(facts.observed_at) if facts.observed_at else "",
        cause=words.cause(facts.cause) if facts.cause else "",
        acknowledged_by=_one_line(facts.acknowledged_by),
        acknowledged_note=_one_line(facts.acknowledged_note),
        expects_by=words.when(facts.expects_by) if facts.expects_by else "",
        promised_by=_one_line(facts.broken.by) if facts.broken else "",
        promised_for=words.when(facts.broken.expected_by) if facts.broken else "",
        promised_note=_one_line(facts.broken.note) if facts.broken else "",
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
    """Say many alerts at once: the open ones first, the worst of them first."""
    members = sorted(facts.members, key=_urgency)
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
        "notes": _notes(still_open),
        "new_notes": _notes(new),
        "link": f"{public_url.rstrip('/')}/alerts" if public_url else "",
    }


def _notes(members: Iterable[AlertFacts]) -> list[str]:
    """Return what the members' rows say of whom to ask, each once: in a storm many share one."""
    return list(dict.fromkeys(_one_line(member.note) for member in members if member.note))[:MAX_NOTES]


def _urgency(facts: AlertFacts) -> tuple[bool, int, float, str]:
    return (facts.closed_at is not None, -facts.severity, _hours_left(facts), facts.wallet)


def _hours_left(facts: AlertFacts | DigestLine) -> float:
    return facts.runway.p50 if facts.runway else float("inf")


def digest_view(facts: DigestFacts, words: Wording, *, public_url: str, most: int = MAX_LINES) -> View:
    """Say how things stand: at most `most` balances, in the order of the facts (worst first)."""
    return {
        "name": facts.name,
        "at": words.when(facts.at),
        "date": words.day(facts.at),
        "since": words.when(facts.since) if facts.since else "",
        "late": facts.late,
        "slot": facts.slot.replace("T", " "),
        "num_lines": len(facts.lines),
        "lines": [_line_view(line, facts, words, public_url=public_url) for line in facts.lines[:most]],
        "num_more": max(0, len(facts.lines) - most),
        "counts": [
            {
                "severity": severity.word,
                "mark": mark(severity),
                "word": words.severity(severity),
                "count": number(count),
            }
            for severity in sorted(Severity, reverse=True)
            if (count := sum(line.severity == severity for line in facts.lines))
        ],
        "num_bad": sum(line.severity >= Severity.WARNING for line in facts.lines),
        "changes": [
            _line_view(line, facts, words, public_url=public_url)
            for line in facts.lines
            if line.severity_before not in {None, line.severity}
        ][:most],
        "quota_moved": [
            _line_view(line, facts, words, public_url=public_url)
            for line in facts.lines
            if line.topped_up or line.transferred
        ][:most],
        "without_limits": [
            _line_view(line, facts, words, public_url=public_url)
            for line in facts.lines
            if not line.limits_set
        ][:most],
        "alerts": [alert_view(alert, words, public_url=public_url) for alert in facts.open_alerts[:most]],
        "recovered": [alert_view(alert, words, public_url=public_url) for alert in facts.recovered[:most]],
        "silences": [
            {"pattern": pattern, "until": words.when(until), "reason": _one_line(reason)}
            for pattern, until, reason in facts.silences
        ],
        "planned": [
            {
                "wallet": wallet,
                "category_word": words.category(category),
                "messages": words.messages(planned.messages),
                "from": words.when(planned.starts_at),
                "until": words.when(planned.ends_at),
                "note": _one_line(planned.note, at_most=_LONGEST_PLAN),
            }
            for wallet, category, planned in facts.planned[:most]
        ],
        "stopped": [
            _line_view(line, facts, words, public_url=public_url) for line in facts.lines if line.stopped
        ][:most],
        "advice_total": words.order_total(
            _to_order(facts.lines), by=_first_order(facts.lines, words, now=facts.at)
        ),
        "link": public_url,
    }


def _line_view(line: DigestLine, facts: DigestFacts, words: Wording, *, public_url: str) -> View:
    before = line.severity_before
    return {
        "wallet": line.wallet,
        "category_word": words.category(line.category),
        "severity": line.severity.word,
        "severity_word": words.severity(line.severity),
        "before_word": "" if before is None else words.severity(before),
        "worse": before is not None and line.severity > before,
        "mark": mark(line.severity),
        "balance": words.cell(line.reading),
        "known": isinstance(line.reading, int),
        "stale": line.stale,
        "observed_at": words.when(line.observed_at) if line.observed_at else "",
        "burn": "—" if line.burn_per_day is None else number(line.burn_per_day),
        "burn_change": _change(line.burn_week, line.burn_week_before),
        "runway": "—" if line.runway is None else words.duration(line.runway.p50),
        "runway_range": "—" if line.runway is None else words.runway(line.runway),
        "runway_between": words.runway_between(line.runway),
        "empty_at": words.ahead(line.depletes_at, now=facts.at) if line.depletes_at else "",
        "topped_up": number(line.topped_up) if line.topped_up else "",
        "moved_in": number(line.transferred) if line.transferred > 0 else "",
        "moved_out": number(-line.transferred) if line.transferred < 0 else "",
        "used": number(line.used),
        "advice": words.order(line.advice, line.category, now=facts.at),
        "note": _one_line(line.note),
        "link": wallet_link(public_url, line.wallet),
    }


def _to_order(lines: Iterable[DigestLine]) -> dict[Category, int]:
    """Add up what is to be ordered of each category."""
    messages: dict[Category, int] = {}
    for line in lines:
        if line.advice is not None:
            messages[line.category] = messages.get(line.category, 0) + line.advice.messages
    return messages


def _first_order(lines: Iterable[DigestLine], words: Wording, *, now: datetime) -> str:
    """Say by when the first order is due; '' where there is none."""
    due = [line.advice.order_by for line in lines if line.advice and line.advice.order_by]
    return words.first_order(min(due), now=now) if due else ""


def _change(now: float | None, before: float | None) -> str:
    """Say how a burn rate compares to the week before: `+12 %`; '' where there is nothing to compare."""
    if now is None or not before:
        return ""
    percent = round((now / before - 1) * 100)
    if percent > 999:
        return f"× {now / before:,.0f}"
    return f"{percent:+d} %".replace("-", "−") if percent else "± 0 %"


def notice_view(facts: TestFacts | TroubleFacts, words: Wording, *, public_url: str) -> View:
    """Say a test, or the trouble of the other channel."""
    trouble = facts if isinstance(facts, TroubleFacts) else None
    return {
        "trouble": trouble is not None,
        "at": words.when(facts.at),
        "zone": words.zone_name,
        "channel": trouble.channel.value if trouble else "",
        "destination": trouble.destination if trouble else "",
        "message": _one_line(words.trouble(trouble.message)) if trouble else "",
        "link": public_url,
    }
