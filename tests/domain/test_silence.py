"""A silence mutes exactly the alerts that its pattern names."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import Patterns
from balancebot.domain.silence import Silence, pattern_of, silenced_until
from balancebot.domain.verdict import Severity
from tests.patterns import pattern_from

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACME, OF_ACME, ACME2, OF_ACME2 = map(WalletName, ("acme", "acme/shop", "acme2", "acme2/shop"))


def stale(wallet: WalletName, *members: WalletName) -> Alert:
    return Alert(
        subject=AlertSubject(kind=AlertKind.STALE, wallet=wallet),
        severity=Severity.WARNING,
        peak=Severity.WARNING,
        opened_at=NOON,
        members=members,
    )


def low(wallet: WalletName, category: Category = Category.VOICE) -> Alert:
    subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=wallet, category=category)
    return replace(stale(wallet), subject=subject)


@pytest.mark.parametrize(
    ("alerts", "text"),
    [
        ([low(OF_ACME)], "acme/shop:voice"),
        ([stale(OF_ACME)], "acme/shop"),
        ([stale(ACME)], "acme"),
        ([stale(ACME, OF_ACME, WalletName("acme/web"))], "acme/*"),
        ([stale(ACME, ACME, OF_ACME)], "acme, acme/*"),
        ([low(ACME), low(OF_ACME), low(ACME)], "acme:voice, acme/shop:voice"),
        ([low(WalletName(f"acme/{number}")) for number in range(50)], "acme/0:voice, acme/1:voice … (50)"),
    ],
)
def test_alerts_are_named_by_a_short_pattern(alerts: list[Alert], text: str) -> None:
    assert text == pattern_of(*alerts).text


def test_the_silence_of_an_account_mutes_only_its_wallets() -> None:
    shared = stale(ACME, ACME, OF_ACME)
    active = replace(silence("*"), pattern=pattern_of(shared))
    meant = (shared, stale(ACME), stale(OF_ACME), low(OF_ACME), stale(ACME, OF_ACME))
    others = (stale(ACME2), stale(OF_ACME2), stale(ACME2, ACME2, OF_ACME2), low(ACME2))

    assert {active.until} == {silenced_until([active], alert, NOON) for alert in meant}
    assert {None} == {silenced_until([active], alert, NOON) for alert in others}


def test_a_silence_of_fifty_patterns_shows_the_first_and_matches_all() -> None:
    pattern = pattern_of(*(low(WalletName(f"acme/{number}")) for number in range(50)))

    assert isinstance(pattern, Patterns)
    assert pattern.matches(WalletName("acme/49"), Category.VOICE)
    assert not pattern.matches(WalletName("acme/50"), Category.VOICE)


def silence(pattern: str, **changes: Any) -> Silence:
    active = Silence(
        pattern=pattern_from(pattern),
        begins_at=NOON,
        until=NOON + timedelta(hours=4),
        reason="",
        created_by="on-call",
    )
    return replace(active, **changes)


@pytest.mark.parametrize(
    ("hours", "ended", "holds"), [(0, False, True), (3.99, False, True), (4, False, False), (1, True, False)]
)
def test_a_silence_is_active_until_its_end_time_or_until_it_is_ended(
    hours: float, ended: bool, holds: bool
) -> None:
    made = silence("*", ended_at=NOON if ended else None)
    assert holds is made.holds(NOON + timedelta(hours=hours))


@pytest.mark.parametrize(
    ("pattern", "everything"), [("*", True), ("**", True), ("acme/*", False), ("*:voice", False)]
)
def test_only_a_star_mutes_everything(pattern: str, everything: bool) -> None:
    assert everything is silence(pattern).mutes_everything


def test_a_silence_of_several_patterns_mutes_everything_if_one_of_them_does() -> None:
    parts = tuple(map(pattern_from, ("acme", "*")))
    assert replace(silence("acme"), pattern=Patterns(parts=parts)).mutes_everything


@pytest.mark.parametrize(
    ("severity", "muted", "urgent"),
    [
        (Severity.WARNING, True, False),
        (Severity.CRITICAL, True, True),
        (Severity.DEPLETED, True, True),
        (Severity.CRITICAL, False, False),
    ],
)
def test_a_silence_is_urgent_if_it_mutes_a_critical_alert(
    severity: Severity, muted: bool, urgent: bool
) -> None:
    alert = replace(low(OF_ACME), severity=severity, muted_from=Severity.WARNING if muted else None)
    assert urgent is silence("acme/*").mutes_urgently([low(ACME2), alert])
    assert not silence("acme2/*").mutes_urgently([alert])


def test_a_wallet_counts_as_muted_if_any_of_its_categories_is() -> None:
    wallets = [ACME, OF_ACME, ACME2]
    assert [3, 1, 0] == [
        silence(text).num_wallets(wallets) for text in ("acme*:voice", "acme/*:voice", "shop")
    ]


@pytest.mark.parametrize(
    ("days", "again"), [(None, False), (0, False), (6.99, False), (7, True), (-0.01, True)]
)
def test_a_silence_is_announced_every_week(days: float | None, again: bool) -> None:
    made = silence("*", announced_at=None if days is None else NOON - timedelta(days=days))
    assert again is made.is_announced_again(NOON)
