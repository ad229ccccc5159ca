"""A silence means exactly what it was made for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import Patterns
from balancebot.domain.silence import Silence, pattern_of, silenced_until
from balancebot.domain.verdict import Severity

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
def test_an_alert_is_named_by_a_pattern(alerts: list[Alert], text: str) -> None:
    assert text == pattern_of(*alerts).text


def test_an_accounts_silence_holds_for_its_own_wallets_alone() -> None:
    shared = stale(ACME, ACME, OF_ACME)
    silence = Silence(
        pattern=pattern_of(shared),
        begins_at=NOON,
        until=NOON + timedelta(hours=4),
        reason="",
        created_by="on-call",
    )
    meant = (shared, stale(ACME), stale(OF_ACME), low(OF_ACME), stale(ACME, OF_ACME))
    others = (stale(ACME2), stale(OF_ACME2), stale(ACME2, ACME2, OF_ACME2), low(ACME2))

    assert {silence.until} == {silenced_until([silence], alert, NOON) for alert in meant}
    assert {None} == {silenced_until([silence], alert, NOON) for alert in others}


def test_fifty_are_shown_by_the_first_and_mean_all() -> None:
    pattern = pattern_of(*(low(WalletName(f"acme/{number}")) for number in range(50)))

    assert isinstance(pattern, Patterns)
    assert pattern.matches(WalletName("acme/49"), Category.VOICE)
    assert not pattern.matches(WalletName("acme/50"), Category.VOICE)
