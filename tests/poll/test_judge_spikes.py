"""Usage far above usual is alerted within two readings; transfers and usual usage are not."""

from datetime import timedelta

import pytest

from balancebot.domain.alert import AlertKind, Cause
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Absent, BalanceKey, Category, Readings
from balancebot.domain.message import AlertMessage, SpikeMeasurement
from balancebot.domain.runway import OrderAdvice
from balancebot.history.files import ImportReport, import_history
from balancebot.overview.balances import BalanceView, overview
from balancebot.store import alerts, wallets
from tests.history.lines import sheet_of
from tests.world import POOL, SHOP, World, industry

SPIKE = "opened critical acme/shop:industry"
A_LOT = 10_000_000


class Traffic:
    """A shop with a given usage per hour, read every hour."""

    def __init__(self, world: World, left: int) -> None:
        self.world = world
        self.left = left

    def passes(self, hours: int, an_hour: int, *, pool: Readings | None = None) -> None:
        for _ in range(hours):
            self.world.clock.pass_by(hours=1)
            self.left -= an_hour
            self.world.shows(industry(self.left))
            if pool is not None:
                self.world.shows(pool, wallet=POOL)
            self.world.poll()


@pytest.fixture
def traffic(database) -> Traffic:
    return traffic_of(World(database), left=A_LOT)


def traffic_of(world: World, *, left: int, an_hour: int = 100) -> Traffic:
    """Return a shop with eighty hourly readings of the past, and `an_hour` messages used in each hour."""
    world.configure(SHOP)
    world.limit(warning_days=-1, critical_days=-1)
    past = [
        f"{(world.clock.now() - timedelta(hours=hours)).isoformat()},{SHOP},industry,{left + an_hour * hours}"
        for hours in range(80, -1, -1)
    ]
    taken = import_history(
        world.database,
        sheet_of(["observed_at,wallet,category,balance", *past]),
        configured=[SHOP],
        estimator=world.app.figures.estimator,
        now=world.clock.now(),
    )
    assert isinstance(taken, ImportReport)
    return Traffic(world, left)


def spikes(traffic: Traffic) -> list[str]:
    return traffic.world.transitions()


def test_a_spike_is_notified_at_the_second_reading_and_its_end_too(traffic):
    traffic.passes(1, 4000)
    suspicion = spikes(traffic)
    traffic.passes(1, 4000)
    after_second = spikes(traffic)
    traffic.passes(4, 100)

    assert ([], [SPIKE], [SPIKE, "recovered ok acme/shop:industry"]) == (
        suspicion,
        after_second,
        spikes(traffic),
    )


def test_a_spike_that_became_usual_usage_is_closed_without_claiming_a_fall(traffic):
    traffic.passes(60, 1500)

    assert [SPIKE, "closed ok acme/shop:industry"] == spikes(traffic)
    assert [Cause.USE_STAYS_HIGH] == [
        message.alert.closed_because for message in traffic.world.messages() if not message.is_open
    ]


def test_the_usage_of_a_day_in_one_reading_is_alerted_immediately_if_nothing_else_explains_it(traffic):
    traffic.passes(1, 9000)
    alone = spikes(traffic)
    traffic.passes(3, 100)
    traffic.world.configure(POOL, SHOP)
    pool = industry(1_000_000)
    traffic.passes(2, 100, pool=pool)
    traffic.passes(1, 30_000, pool=pool)

    assert ([], [SPIKE]) == (alone, spikes(traffic))


def test_usual_usage_is_no_spike(traffic):
    traffic.passes(10, 130)

    assert [] == spikes(traffic)


def test_a_transfer_is_no_spike(traffic):
    traffic.world.configure(POOL, SHOP)
    pool = industry(1_000_000)
    traffic.passes(3, 100, pool=pool)

    traffic.passes(1, 50_100, pool=industry(1_050_000))
    traffic.passes(1, 50_100, pool=industry(1_100_000))

    assert [] == spikes(traffic)


def views_of(traffic: Traffic) -> list[BalanceView]:
    with traffic.world.database.read() as conn:
        return overview(
            conn,
            book=traffic.world.app.thresholds.book(conn),
            stale_after=traffic.world.app.settings.poll.stale_after,
            now=traffic.world.clock.now(),
        )


def test_stopped_traffic_is_a_note_and_not_an_alert(traffic):
    traffic.passes(6, 0)

    assert ([], [False, False, True, False]) == (
        spikes(traffic),
        [view.stopped for view in views_of(traffic)],
    )


def test_a_refund_that_hides_usage_is_not_stopped_traffic(traffic):
    traffic.passes(5, 0)
    traffic.passes(1, -12)

    assert [False] * 4 == [view.stopped for view in views_of(traffic)]


def advised(traffic: Traffic) -> dict[BalanceKey, OrderAdvice]:
    with traffic.world.database.read() as conn:
        rows = wallets.all_wallets(conn)
        return dict(traffic.world.app.figures.advise(conn, rows, now=traffic.world.clock.now()))


def test_no_purchase_is_advised_for_a_spike(traffic):
    usual = advised(traffic)
    traffic.passes(1, 4000)
    suspicious = advised(traffic)
    traffic.passes(1, 4000)

    assert ([False], [], [True]) == tuple(
        [advice.stop_first for advice in found.values()] for found in (usual, suspicious, advised(traffic))
    )


@pytest.mark.parametrize(("in_pool", "buys"), [(1_000_000, False), (30_000, True)])
def test_a_shortfall_is_moved_from_the_shared_pool_before_quota_is_bought(database, in_pool, buys):
    traffic = traffic_of(World(database), left=20_000)
    traffic.world.configure(POOL, SHOP)
    traffic.passes(2, 100, pool=industry(in_pool))

    (advice,) = [advice for key, advice in advised(traffic).items() if key.wallet == SHOP]
    assert buys == (advice.messages > 0)
    assert 50_000 < advice.lacking <= advice.move + advice.messages
    assert advice.move <= in_pool


def test_a_spike_shows_when_the_balance_is_empty_at_this_rate(traffic):
    traffic.passes(2, 4000)

    (message,) = [message for message in traffic.world.messages() if isinstance(message, AlertMessage)]
    spike, context = message.measurement.spike, message.context
    assert spike is not None
    assert context.advice is not None
    assert (timedelta(hours=A_LOT / 4000 - 2), True) == (spike.lasts(A_LOT - 8000), context.advice.stop_first)


def test_a_spike_of_a_category_that_is_no_longer_allocated_is_closed(traffic):
    traffic.passes(2, 4000)

    traffic.world.shows(industry(Absent.UNALLOCATED, market=5000))
    traffic.world.poll()

    assert [SPIKE, "closed ok acme/shop:industry"] == spikes(traffic)


def test_a_drained_balance_is_notified_once_and_its_message_contains_the_spike(database):
    traffic = traffic_of(World(database), left=50_000)
    traffic.world.limit(category="industry", critical_below=45_000)
    traffic.passes(2, 4000)

    (message,) = traffic.world.messages()
    assert message.context.advice is not None
    assert ("low_balance", SpikeMeasurement) == (message.alert.subject.kind, type(message.measurement.spike))
    assert message.context.advice.stop_first
    assert [(None, True)] == [
        (view.spike_id, view.is_spiking)
        for view in views_of(traffic)
        if view.key.category is Category.INDUSTRY
    ]


def test_an_open_spike_sends_nothing_more_when_its_balance_becomes_critical(database):
    traffic = traffic_of(World(database), left=50_000)
    traffic.world.limit(category="industry", critical_below=40_000)
    traffic.passes(2, 4000)
    traffic.passes(1, 4000)
    traffic.world.clock.pass_by(hours=25)
    traffic.world.app.operate_alerts.tick()

    assert [SPIKE, SPIKE, "reminder critical acme/shop:industry"] == spikes(traffic)
    with traffic.world.database.read() as conn:
        assert [AlertKind.LOW_BALANCE] == [last.alert.subject.kind for last in alerts.all_open(conn)]


def hourly(traffic: Traffic, hours: int, an_hour: int, *, pool: Readings | None = None) -> None:
    for _ in range(hours):
        traffic.passes(1, an_hour, pool=pool)
        traffic.world.app.operate_alerts.tick()


def test_a_drain_is_notified_as_a_spike_and_when_nothing_is_left(database):
    traffic = traffic_of(World(database), left=60_000)
    traffic.world.limit(category="industry", warning_days=7, critical_days=3)
    hourly(traffic, 13, 4000)
    drained = spikes(traffic)
    hourly(traffic, 1, 8000)

    assert [SPIKE] == drained
    assert [SPIKE, "opened depleted acme/shop:industry"] == spikes(traffic)
    with traffic.world.database.read() as conn:
        assert [AlertKind.LOW_BALANCE] == [last.alert.subject.kind for last in alerts.all_open(conn)]


def test_a_balance_left_low_by_a_spike_is_alerted_after_the_spike(database):
    traffic = traffic_of(World(database), left=24_000)
    traffic.world.configure(POOL, SHOP)
    traffic.world.limit(SHOP, "industry", warning_days=6, critical_days=-1)
    pool = industry(0)
    hourly(traffic, 1, 100, pool=pool)
    hourly(traffic, 1, 9000, pool=pool)
    at_once = spikes(traffic)
    hourly(traffic, 4, 100, pool=pool)

    assert [SPIKE] == at_once
    assert {SPIKE, "recovered ok acme/shop:industry", "opened warning acme/shop:industry"} == set(
        spikes(traffic)
    )
    assert 3 == len(spikes(traffic))


def test_an_acknowledged_spike_does_not_hide_a_low_balance_at_usual_usage(database):
    traffic = traffic_of(World(database), left=60_000)
    traffic.world.limit(category="industry", warning_days=7, critical_days=3)
    hourly(traffic, 3, 4000)
    traffic.world.app.operate_alerts.acknowledge("1", by=Actor(name="ops", via=Via.CLI))
    hourly(traffic, 2, 4000)
    while_enough_is_left = spikes(traffic)
    hourly(traffic, 8, 4000)

    assert [SPIKE] == while_enough_is_left
    assert [SPIKE, SPIKE] == spikes(traffic)
    with traffic.world.database.read() as conn:
        assert [AlertKind.LOW_BALANCE] == [last.alert.subject.kind for last in alerts.all_open(conn)]


def test_a_limit_in_messages_is_notified_during_a_spike(database):
    traffic = traffic_of(World(database), left=50_000)
    traffic.world.limit(category="industry", warning_below=40_000)
    hourly(traffic, 3, 4000)

    assert [SPIKE, "opened warning acme/shop:industry"] == spikes(traffic)


def test_an_alert_caused_by_a_wrong_reading_is_closed_with_that_cause(database):
    traffic = traffic_of(World(database), left=50_000)
    traffic.world.configure(POOL, SHOP)
    traffic.world.limit(SHOP, "industry", critical_below=10_000)
    for left in (49_990, 5_000, 49_980):
        traffic.world.clock.pass_by(minutes=5)
        traffic.world.shows(industry(left))
        traffic.world.shows(industry(0), wallet=POOL)
        traffic.world.poll()

    assert ["opened critical acme/shop:industry", "closed ok acme/shop:industry"] == spikes(traffic)
    assert [Cause.WRONG_READING] == [
        message.alert.closed_because for message in traffic.world.messages() if not message.is_open
    ]


def test_a_spike_caused_by_a_wrong_reading_is_closed_with_that_cause(database):
    traffic = traffic_of(World(database), left=50_000)
    traffic.world.configure(POOL, SHOP)
    for left in (49_990, 5_000, 49_980):
        traffic.world.clock.pass_by(minutes=5)
        traffic.world.shows(industry(left))
        traffic.world.shows(industry(0), wallet=POOL)
        traffic.world.poll()

    assert [SPIKE, "closed ok acme/shop:industry"] == spikes(traffic)


def test_a_depleted_alert_still_says_to_stop_the_sending(database):
    traffic = traffic_of(World(database), left=8_000)
    traffic.passes(2, 4000)
    traffic.passes(5, 0)

    assert [True] == [advice.stop_first for advice in advised(traffic).values()]


def test_an_app_that_goes_live_is_no_spike(database):
    traffic = traffic_of(World(database), left=100_000, an_hour=0)
    traffic.passes(30, 300)

    assert [] == spikes(traffic)


def test_high_usage_of_an_app_that_was_never_used_is_a_spike(database):
    traffic = traffic_of(World(database), left=100_000, an_hour=0)
    for left in (99_000, 98_000):
        traffic.world.clock.pass_by(minutes=5)
        traffic.world.shows(industry(left))
        traffic.world.poll()

    assert [SPIKE] == spikes(traffic)


def test_a_lasting_spike_does_not_become_usual_within_a_day(traffic):
    traffic.passes(16, 1_000)

    assert [SPIKE] == spikes(traffic)


def test_universal_quota_used_for_an_empty_category_is_no_spike(database):
    traffic = traffic_of(World(database), left=300)
    universal = 50_000
    for left, sent in ((150, 0), (50, 0), (0, 40), (0, 100), (0, 110), (0, 90), (0, 100)):
        universal -= sent
        traffic.world.clock.pass_by(hours=1)
        traffic.world.shows(industry(left, universal=universal))
        traffic.world.poll()

    assert [] == spikes(traffic)
