"""When a wallet that can't be read has an alert, and which wallets share one alert."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import WalletName
from balancebot.domain.reachability import Reach, Shared, judge_credentials, judge_staleness, share
from balancebot.domain.verdict import FINE, NO_DATA, Severity

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
POOL, WEB, SHOP, API = (WalletName(name) for name in ("acme", "acme/web", "acme/shop", "acme/api"))


def reach(*, good_ago=None, first_ago=HALF_AN_HOUR, failed=True, rejections=0) -> Reach:
    return Reach(
        wallet=WEB,
        last_good_at=None if good_ago is None else NOON - good_ago,
        first_attempt_at=NOON - first_ago,
        failed=failed,
        rejections=rejections,
    )


def stale(reachability: Reach, *, rejected=False) -> Severity:
    return judge_staleness(reachability, now=NOON, stale_after=HALF_AN_HOUR, rejected=rejected).severity


@pytest.mark.parametrize(
    ("rejections", "severity"), [(0, Severity.UNKNOWN), (1, Severity.UNKNOWN), (2, Severity.CRITICAL)]
)
def test_credentials_are_rejected_after_two_refusals_in_a_row(rejections, severity):
    assert severity is judge_credentials(reach(rejections=rejections)).severity


def test_a_good_reading_clears_both_kinds():
    good = reach(failed=False)

    assert (FINE, FINE) == (
        judge_credentials(good),
        judge_staleness(good, now=NOON, stale_after=HALF_AN_HOUR, rejected=False),
    )


def test_stale_counts_from_the_last_good_reading():
    assert Severity.WARNING is stale(reach(good_ago=HALF_AN_HOUR, first_ago=timedelta(days=9)))
    assert Severity.UNKNOWN is stale(reach(good_ago=timedelta(minutes=29), first_ago=timedelta(days=9)))


def test_stale_counts_from_the_first_attempt_of_one_never_read():
    assert Severity.WARNING is stale(reach())
    assert Severity.UNKNOWN is stale(reach(first_ago=timedelta(minutes=29)))


def test_a_first_refusal_opens_neither_a_credentials_nor_a_stale_alert():
    assert Severity.UNKNOWN is stale(reach(good_ago=timedelta(days=2), rejections=1))


def test_a_pause_alone_is_not_stale():
    assert Severity.OK is stale(reach(good_ago=timedelta(days=2), failed=False))


def test_rejected_credentials_open_no_stale_alert():
    assert Severity.OK is stale(reach(good_ago=timedelta(days=2), rejections=2), rejected=True)


def test_a_short_failure_sends_nothing():
    assert NO_DATA == judge_staleness(
        reach(good_ago=timedelta(0)), now=NOON, stale_after=HALF_AN_HOUR, rejected=False
    )


def standing(wallet, fault="unreachable", members=()) -> Alert:
    return Alert(
        id=1,
        subject=AlertSubject(kind=AlertKind.STALE, wallet=wallet),
        severity=Severity.WARNING,
        peak=Severity.WARNING,
        opened_at=NOON,
        fault=fault,
        members=members,
    )


def test_a_single_failing_wallet_has_its_own_alert():
    assert (Shared(existing=None, wallet=WEB, fault="permission"),) == share("acme", {WEB: "permission"}, [])


def test_two_wallets_with_the_same_fault_share_an_alert_of_the_account():
    assert (Shared(existing=None, wallet=POOL, fault="unreachable", members=(WEB, SHOP)),) == share(
        "acme", {WEB: "unreachable", SHOP: "unreachable"}, []
    )


def test_a_second_stale_wallet_joins_the_alert_of_the_first():
    first = standing(WEB)

    assert (Shared(existing=first, wallet=POOL, fault="unreachable", members=(WEB, SHOP)),) == share(
        "acme", {SHOP: "unreachable"}, [first]
    )


def test_wallets_join_the_shared_alert_as_long_as_it_is_open():
    shared = standing(POOL, members=(WEB, SHOP))

    assert (Shared(existing=shared, wallet=POOL, fault="unreachable", members=(WEB, SHOP, API)),) == share(
        "acme", {API: "unreachable"}, [shared]
    )


def test_another_fault_is_reported_separately():
    shared = standing(POOL, members=(WEB, SHOP))

    assert (Shared(existing=None, wallet=API, fault="permission"),) == share(
        "acme", {API: "permission"}, [shared]
    )


def test_the_shared_pool_belongs_to_the_alert_with_its_name():
    shared = standing(POOL, members=(WEB, SHOP))

    assert (Shared(existing=shared, wallet=POOL, fault="unreachable", members=(WEB, SHOP, POOL)),) == share(
        "acme", {POOL: "permission"}, [shared]
    )


def test_other_wallets_join_the_alert_of_a_failing_shared_pool():
    alone = standing(POOL)

    assert (Shared(existing=alone, wallet=POOL, fault="unreachable", members=(POOL, WEB)),) == share(
        "acme", {WEB: "unreachable"}, [alone]
    )
