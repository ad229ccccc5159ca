"""When a wallet that can't be read is worth a word, and how many wallets share one."""

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


def stale(one: Reach, *, rejected=False) -> Severity:
    return judge_staleness(one, now=NOON, stale_after=HALF_AN_HOUR, rejected=rejected).severity


@pytest.mark.parametrize(
    ("rejections", "severity"), [(0, Severity.UNKNOWN), (1, Severity.UNKNOWN), (2, Severity.CRITICAL)]
)
def test_credentials_are_rejected_after_two_refusals_running(rejections, severity):
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


def test_a_first_refusal_waits_for_the_second_and_opens_no_stale_in_between():
    assert Severity.UNKNOWN is stale(reach(good_ago=timedelta(days=2), rejections=1))


def test_a_pause_alone_is_not_stale():
    assert Severity.OK is stale(reach(good_ago=timedelta(days=2), failed=False))


def test_rejected_credentials_leave_nothing_for_stale_to_say():
    assert Severity.OK is stale(reach(good_ago=timedelta(days=2), rejections=2), rejected=True)


def test_a_failure_before_its_time_sends_nothing():
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


def test_a_wallet_alone_with_its_fault_has_its_own_alert():
    assert (Shared(existing=None, wallet=WEB, fault="permission"),) == share("acme", {WEB: "permission"}, [])


def test_two_with_the_same_fault_share_one_of_the_account():
    assert (Shared(existing=None, wallet=POOL, fault="unreachable", members=(WEB, SHOP)),) == share(
        "acme", {WEB: "unreachable", SHOP: "unreachable"}, []
    )


def test_the_second_to_go_stale_widens_the_alert_of_the_first():
    first = standing(WEB)

    assert (Shared(existing=first, wallet=POOL, fault="unreachable", members=(WEB, SHOP)),) == share(
        "acme", {SHOP: "unreachable"}, [first]
    )


def test_what_the_account_shares_is_joined_as_long_as_it_is_open():
    shared = standing(POOL, members=(WEB, SHOP))

    assert (Shared(existing=shared, wallet=POOL, fault="unreachable", members=(WEB, SHOP, API)),) == share(
        "acme", {API: "unreachable"}, [shared]
    )


def test_another_fault_is_reported_separately():
    shared = standing(POOL, members=(WEB, SHOP))

    assert (Shared(existing=None, wallet=API, fault="permission"),) == share(
        "acme", {API: "permission"}, [shared]
    )


def test_the_shared_pool_goes_with_the_alert_that_bears_its_name():
    shared = standing(POOL, members=(WEB, SHOP))

    assert (Shared(existing=shared, wallet=POOL, fault="unreachable", members=(WEB, SHOP, POOL)),) == share(
        "acme", {POOL: "permission"}, [shared]
    )


def test_the_alert_of_a_lone_shared_pool_is_widened_too():
    alone = standing(POOL)

    assert (Shared(existing=alone, wallet=POOL, fault="unreachable", members=(POOL, WEB)),) == share(
        "acme", {WEB: "unreachable"}, [alone]
    )
