"""The poll cycle, from an answer of the source to the entries in the outbox."""

import itertools
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, event

from balancebot.config import PollConfig
from balancebot.domain.audit import Act, Via
from balancebot.domain.balance import UNALLOCATED_EVERYWHERE, Absent, Category, Snapshot, WalletName
from balancebot.domain.next_reading import ReadReason
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Crossed
from balancebot.ports import SourceErrorKind
from balancebot.store import alerts, audit, use_totals, wallets, workers
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind
from tests.outbox_bench import let_heartbeats_age
from tests.patience import PATIENCE
from tests.world import NOON, POOL, SHOP, WEB, World, industry

ADAPTIVE = PollConfig(every=timedelta(minutes=30), fastest=timedelta(minutes=1))
TIMEOUT, REFUSED = SourceErrorKind.TIMEOUT, SourceErrorKind.CREDENTIALS


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100)
    return world


def test_a_low_balance_is_notified_once_however_often_it_is_read(world):
    world.shows(industry(500))

    for _ in range(3):
        world.poll()
        world.clock.pass_by(minutes=5)

    assert ["opened warning acme/shop:industry"] == world.transitions()
    assert ["post #ops", "post finance@example.com"] == world.deliveries()


@pytest.mark.parametrize(
    ("pool", "is_empty"), [(0, True), (Absent.UNALLOCATED, True), (50_000, False), (Absent.UNREAD, False)]
)
def test_no_message_advises_to_move_quota_from_an_empty_pool(world, pool, is_empty):
    world.configure(POOL, SHOP)
    world.shows(industry(pool), wallet=POOL)
    world.shows(industry(500))
    world.poll()

    (message,) = (message for message in world.messages() if message.alert.subject.wallet == SHOP)
    assert is_empty is message.context.pool_is_empty


def test_twenty_openings_in_one_cycle_need_no_more_statements_than_two(world):
    def num_statements(names: list[WalletName]) -> int:
        world.configure(*names)
        low = [Snapshot(wallet=name, observed_at=world.clock.now(), readings=industry(500)) for name in names]
        statements: list[str] = []
        listener = (
            Engine,
            "before_cursor_execute",
            lambda _, __, statement, *___: statements.append(statement),
        )
        event.listen(*listener)
        world.app.record_readings(
            low, finished=set(), first_reads={}, claimed_by=None, unread=(), alerts=True
        )
        event.remove(*listener)
        return len(statements)

    two, twenty = ([WalletName(f"acme/{num}-{index}") for index in range(num)] for num in (2, 20))
    assert num_statements(two) >= num_statements(twenty)
    assert [f"opened warning {name}:industry" for name in (*two, *twenty)] == world.transitions()


def test_a_worsening_and_a_recovery_are_sent(world):
    world.shows(industry(500), industry(50), industry(5000))

    for _ in range(3):
        world.poll()
        world.clock.pass_by(minutes=5)

    assert [
        "opened warning acme/shop:industry",
        "worsened critical acme/shop:industry",
        "recovered ok acme/shop:industry",
    ] == world.transitions()


def test_a_zero_is_read_a_second_time_before_it_opens_an_alert(world):
    world.shows(industry(5000), industry(0), industry(4990))

    world.poll()
    world.poll()

    assert ([], [SHOP, SHOP, SHOP]) == (world.transitions(), world.source.requests)


def test_a_confirmed_zero_is_notified_immediately(world):
    world.shows(industry(5000), industry(0))

    world.poll()
    world.poll()

    assert ["opened depleted acme/shop:industry"] == world.transitions()


def test_a_zero_whose_second_reading_fails_waits_for_the_next(world):
    world.shows(industry(5000), industry(0), TIMEOUT, industry(0))

    world.poll()
    world.poll()
    told_before = world.transitions()
    world.poll()

    assert ([], ["opened depleted acme/shop:industry"]) == (told_before, world.transitions())


@pytest.mark.parametrize("wrong", [50_000, 600])
def test_an_unusually_large_change_is_read_a_second_time(world, wrong):
    world.shows(industry(5000), industry(wrong), industry(4990))

    world.poll()
    world.poll()

    assert ([], [SHOP, SHOP, SHOP]) == (world.transitions(), world.source.requests)


def booked_hours(world, *balances: int) -> tuple[int, int, int]:
    """Read the shop and the pool every five minutes; return the booked usage, top-ups and transfers of the shop."""
    for balance in balances:
        world.shows(industry(balance))
        world.poll()
        world.clock.pass_by(minutes=5)
    with world.database.read() as conn:
        (of_shop,) = use_totals.of_hours(conn, since=0, until=10**7).values()
    used = of_shop[2]
    return used.use, used.topped_up, used.exposure


@pytest.mark.parametrize("wrong", [60_000, 7_000, 3_000, 600, 0])
def test_a_wrong_reading_is_neither_usage_nor_a_top_up(world, wrong):
    assert (40, 0, 1200) == booked_hours(world, 6000, 5990, wrong, 5970, 5960)


def test_wrong_readings_are_noted_in_the_audit_log(world):
    booked_hours(world, 6000, 5990, 60_000, 5970, 5960, 61_000, 5950)
    with world.database.read() as conn:
        entries = audit.newest(conn, limit=10)

    assert [(61_000, 5960), (60_000, 5990)] == [
        (entry.before["balance"], entry.after["balance"]) for entry in entries
    ]
    assert {(Act.CORRECT_READING, "acme/shop:industry", Via.POLL)} == {
        (entry.act, entry.subject, entry.via) for entry in entries
    }


def test_at_most_ten_wrong_readings_a_day_are_noted_in_the_audit_log(world):
    booked_hours(world, 6000, *[5990, 60_000] * 20, 5990)
    with world.database.read() as conn:
        assert 10 == len(audit.newest(conn, limit=100))


@pytest.mark.parametrize("wrong", [60_000, 600])
def test_a_wrong_reading_across_two_hours_is_corrected_too(world, wrong):
    world.clock.pass_by(minutes=47)

    assert (40, 0, 1200) == booked_hours(world, 6000, 5990, wrong, 5970, 5960)


def test_a_lasting_rise_is_a_top_up(world):
    assert (40, 54_000, 900) == booked_hours(world, 6000, 5990, 59_990, 59_970, 59_960)


def test_quota_bought_for_the_pool_and_moved_immediately_is_no_wrong_reading(world, database):
    world.configure(POOL, SHOP)
    world.shows(industry(9000), industry(9000), industry(59_000), industry(9000), wallet=POOL)
    world.shows(industry(5000), industry(4990), industry(4980), industry(54_970))
    for _ in range(4):
        world.poll()
        world.clock.pass_by(minutes=5)

    with database.read() as conn:
        ids = {row.id: row.name for row in wallets.all_wallets(conn)}
        moved = {
            ids[wallet_id]: used[2]
            for wallet_id, used in use_totals.of_hours(conn, since=0, until=10**7).items()
        }
    assert (50_000, -50_000, 50_000) == (
        moved[POOL].topped_up,
        moved[POOL].transferred,
        moved[SHOP].transferred,
    )


def test_a_wallet_whose_categories_all_become_null_is_read_a_second_time(world):
    world.shows(industry(500), UNALLOCATED_EVERYWHERE, industry(500))

    world.poll()
    world.poll()

    assert ["opened warning acme/shop:industry"] == world.transitions()


def test_an_alert_of_a_category_that_becomes_unallocated_is_closed(world):
    world.shows(industry(500, market=5000), industry(Absent.UNALLOCATED, market=5000))

    world.poll()
    world.poll()

    assert "closed ok acme/shop:industry" == world.transitions()[-1]


def test_no_data_neither_opens_nor_closes(world):
    world.shows(industry(500), TIMEOUT)

    world.poll()
    world.poll()

    assert ["opened warning acme/shop:industry"] == world.transitions()


def test_a_loosened_limit_closes_the_alert_at_the_next_reading(world, database):
    world.shows(industry(500))
    world.poll()

    world.limit(SHOP, "industry", warning_below=400)
    world.poll()

    assert "closed ok acme/shop:industry" == world.transitions()[-1]


def test_an_alert_names_the_crossed_limit_while_open_and_when_closed(world, database):
    crossed = Crossed(column=LimitColumn.WARNING_BELOW, limit=1000, value=990, scope="*:*")
    for left, still_open in ((990, True), (1010, True), (5000, False)):
        world.shows(industry(left))
        world.poll()

        with database.read() as conn:
            (last,) = alerts.listed(conn, closed=True)
        assert (still_open, left, crossed) == (
            last.is_open,
            last.measurement.reading,
            last.measurement.crossed,
        )


def test_a_cycle_without_alerts_changes_no_alert(world):
    world.shows(industry(500))

    world.poll(alerts=False)

    assert [] == world.transitions()


def test_two_refusals_are_rejected_credentials_and_not_a_stale_reading(world):
    world.shows(REFUSED)

    for _ in range(10):
        world.poll()
        world.clock.pass_by(minutes=5)

    assert ["opened critical acme/shop credentials_rejected"] == world.transitions()


def test_a_wallet_without_a_good_reading_turns_stale_and_recovers(world):
    world.shows(industry(5000), *[TIMEOUT] * 7, industry(5000))

    for _ in range(9):
        world.poll()
        world.clock.pass_by(minutes=5)

    assert ["opened warning acme/shop stale", "recovered ok acme/shop stale"] == world.transitions()


def test_an_outage_is_one_alert_of_the_account(world):
    world.configure(POOL, SHOP, WEB)
    for wallet in (POOL, SHOP, WEB):
        world.shows(industry(5000), *[TIMEOUT] * 7, industry(5000), wallet=wallet)

    for _ in range(9):
        world.poll()
        world.clock.pass_by(minutes=5)

    assert ["opened warning acme stale", "recovered ok acme stale"] == world.transitions()


def test_an_outage_ends_when_all_wallets_are_read(world):
    world.configure(SHOP, WEB)
    world.shows(*[TIMEOUT] * 8, industry(5000))
    world.shows(*[TIMEOUT] * 9, industry(5000), wallet=WEB)
    num_sent = []

    for _ in range(10):
        world.poll()
        world.clock.pass_by(minutes=5)
        num_sent.append(len(world.transitions()))

    assert [0, 0, 0, 0, 0, 0, 1, 1, 1, 2] == num_sent


def test_due_wallets_are_read_and_due_again_after_their_interval(world):
    world.shows(industry(5000))

    read = []
    for _ in range(11):
        read.append(world.app.poll_cycle.run_due() is not None)
        world.clock.pass_by(minutes=1)

    assert [minute % 5 == 0 for minute in range(11)] == read


def test_a_wallet_near_a_limit_is_read_more_often(database):
    world = World(database, poll=PollConfig(fastest=timedelta(minutes=1)))
    world.configure(SHOP)
    world.limit(warning_below=1000)
    world.shows(industry(1900))

    world.app.poll_cycle.run_due()
    world.clock.pass_by(minutes=1)

    assert world.app.poll_cycle.run_due() is not None


def test_the_balance_that_decides_the_next_reading_is_stored(database):
    world = World(database, poll=ADAPTIVE)
    world.configure(SHOP, WEB)
    world.limit(warning_below=1000)
    world.shows(industry(900))
    world.shows(industry(5000), wallet=WEB)

    world.poll()

    with database.read() as conn:
        low, far = (row.next_reading for row in wallets.all_wallets(conn))
    assert (ReadReason.CROSSED, Category.INDUSTRY, ReadReason.FAR) == (low.reason, low.category, far.reason)
    assert NOON < low.at <= NOON + ADAPTIVE.every / 4
    assert low.at < far.at <= NOON + ADAPTIVE.every


def test_wallets_of_an_account_are_read_together_once_in_every_interval(database):
    world = World(database, poll=ADAPTIVE)
    world.configure(POOL, SHOP)
    world.limit(warning_below=1000)
    world.shows(industry(9_000), wallet=POOL)
    world.shows(industry(900))

    read = []
    for _ in range(120):
        world.source.requests.clear()
        world.app.poll_cycle.run_due()
        read.append(len(world.source.requests))
        world.clock.pass_by(minutes=1)

    together = [minute for minute, num in enumerate(read) if num == 2][1:]
    assert [30, 30, 30] == [later - earlier for earlier, later in itertools.pairwise(together)]
    assert sum(read) - 2 * len(together) >= 9


def test_an_account_whose_requests_are_limited_is_read_less_often(database):
    world = World(database, poll=ADAPTIVE)
    world.configure(SHOP, WEB)
    world.limit(warning_below=1000)
    world.shows(SourceErrorKind.RATE_LIMITED)
    world.shows(industry(900), wallet=WEB)

    world.poll()
    world.clock.pass_by(minutes=1)
    world.poll()

    with database.read() as conn:
        limited, other = (row.next_reading for row in wallets.all_wallets(conn))
    assert {ReadReason.RATE_LIMITED} == {limited.reason, other.reason}


def test_the_next_reading_follows_usage_between_bookings(database):
    world = World(database, poll=ADAPTIVE)
    world.configure(POOL, SHOP)
    world.limit(warning_below=1000)
    world.shows(industry(9_000), wallet=POOL)
    world.shows(industry(90_000), industry(50_000))
    world.poll()
    world.clock.pass_by(minutes=10)

    world.app.poll_cycle.run_all([SHOP])

    with database.read() as conn:
        shop = wallets.find(conn, SHOP)
    # 4,000 a minute: the remaining 49,000 last for twelve minutes, a sixth of which is two minutes
    assert (90_000, ReadReason.NEAR) == (shop.booked.industry, shop.next_reading.reason)
    assert shop.next_reading.at <= world.clock.now() + timedelta(minutes=2)


def test_one_failing_wallet_does_not_stop_the_others(world):
    world.configure(SHOP, WEB)
    world.shows(TIMEOUT)
    world.shows(industry(50), wallet=WEB)

    report = world.poll()

    assert ([SHOP], ["opened critical acme/web:industry"]) == (
        [error.wallet for error in report.errors],
        world.transitions(),
    )


def test_failing_wallets_are_read_in_separate_cycles(world):
    world.configure(SHOP, WEB)
    world.shows(TIMEOUT, industry(5000))
    world.shows(industry(5000), wallet=WEB)
    world.app.poll_cycle.run_due()
    world.clock.pass_by(minutes=5)
    world.source.requests.clear()

    world.app.poll_cycle.run_due(failing=False)
    assert [WEB] == world.source.requests
    world.app.poll_cycle.run_due(failing=True)
    assert [WEB, SHOP] == world.source.requests
    assert world.app.poll_cycle.run_due(failing=True) is None


def test_usage_is_booked_when_all_wallets_of_the_account_were_read(world, database):
    world.configure(POOL, SHOP)
    world.shows(industry(9000), industry(8000), wallet=POOL)
    world.shows(industry(5000), industry(5990))

    world.poll()
    world.clock.pass_by(minutes=5)
    world.poll()

    with database.read() as conn:
        booked = {row.name: row.booked.industry for row in wallets.all_wallets(conn)}
    assert {POOL: 8000, SHOP: 5990} == booked


def test_a_note_for_one_category_is_not_in_an_alert_of_the_wallet(world):
    world.limit(SHOP, "industry", note="buy industry quota")
    world.shows(REFUSED)
    world.poll()
    world.poll()
    with world.database.read() as conn:
        (last,) = alerts.listed(conn)
    assert "" == last.context.note

    world.limit("acme/*", note="ask the payments channel")
    world.shows(industry(5000), REFUSED)
    for _ in range(3):
        world.poll()
    with world.database.read() as conn:
        (last,) = alerts.listed(conn)
    assert "ask the payments channel" == last.context.note


def test_setting_the_clock_back_delays_no_wallet(world):
    world.shows(industry(5000), industry(500))
    reports = []
    for hours in (0, -1):
        world.clock.pass_by(hours=hours)
        with world.database.write() as conn:
            workers.leave(conn, "worker")
            workers.register(conn, "worker", kind="run", now=world.clock.now())
        reports.append(world.app.poll_cycle.run_due())

    assert (False, ["opened warning acme/shop:industry"]) == (None in reports, world.transitions())


class LossyDatabase(Database):
    """The same database through a connection that may break before or after a commit."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner
        self.is_sqlite = inner.is_sqlite
        self.outcomes: list[bool | None] = []
        """The results of the next transactions: committed without an answer (True), lost (False), or normal."""

    def read(self):
        return self._inner.read()

    @contextmanager
    def write(self):
        outcome = self.outcomes.pop(0) if self.outcomes else None
        with self._inner.write() as conn:
            yield conn
            if outcome is False:
                raise _GONE
        if outcome:
            raise _GONE


_GONE = DatabaseError(DatabaseErrorKind.UNREACHABLE, "the server closed the connection")


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("broken", ["the claim", "the record", "the record and the next claim"])
def test_a_connection_that_breaks_while_claiming_or_recording_leaves_no_wallet_unread(
    database, broken, is_kept
):
    lossy = LossyDatabase(database)
    world = World(lossy)
    world.configure(SHOP, WEB)
    for wallet in (SHOP, WEB):
        world.shows(industry(5000), wallet=wallet)
    with database.write() as conn:
        workers.register(conn, "worker", kind="run", now=world.clock.now())
    world.app.poll_cycle.run_due()
    world.clock.pass_by(minutes=5)
    with database.write() as conn:
        workers.renew(conn, "worker", now=world.clock.now())

    fault = [is_kept]
    lossy.outcomes = {
        "the claim": fault,
        "the record": [None, *fault],
        "the record and the next claim": [None, False, None, *fault],
    }[broken]
    for _ in range(3):
        with suppress(DatabaseError):
            world.app.poll_cycle.run_due()

    with database.read() as conn:
        assert {world.clock.now()} == {row.observed_at for row in wallets.all_wallets(conn)}


def test_the_result_of_a_frozen_cycle_is_ignored_once_the_wallet_was_read_again(world):
    with world.database.write() as conn:
        workers.register(conn, "worker", kind="run", now=world.clock.now())
        workers.register(conn, "other", kind="run", now=world.clock.now())
    world.shows(industry(5000), industry(500))

    def frozen_and_replaced() -> None:
        world.clock.pass_by(seconds=10)
        with world.database.write() as conn:
            let_heartbeats_age(conn, timedelta(seconds=10))
            workers.renew(conn, "other", now=world.clock.now())
            wallets.claim_due(conn, "other", now=world.clock.now())
            wallets.release_all_but(conn, "other", [])
            workers.renew(conn, "worker", now=world.clock.now())

        def hold() -> None:
            is_claimed.set()
            is_over.wait(PATIENCE)

        world.source.meanwhile = hold
        next_cycle.start()
        assert is_claimed.wait(PATIENCE)

    is_claimed, is_over = Event(), Event()
    next_cycle = Thread(target=world.app.poll_cycle.run_due)
    world.source.meanwhile = frozen_and_replaced
    world.app.poll_cycle.run_due()
    is_over.set()
    next_cycle.join()

    assert ["opened warning acme/shop:industry"] == world.transitions()
    with world.database.read() as conn:
        (row,) = wallets.all_wallets(conn)
    assert 500 == row.readings.industry


def test_an_earlier_reading_is_not_recorded_after_a_later_one(world):
    """The earlier cycle waits to write while a later one has the claim of the same worker."""
    world.configure(SHOP)
    world.shows(industry(5000))
    world.poll()
    world.clock.pass_by(minutes=5)
    with world.database.write() as conn:
        (claimed,) = wallets.claim_due(conn, "worker", now=world.clock.now(), limit=None, failing=None)
    late = Snapshot(wallet=SHOP, observed_at=world.clock.now(), readings=industry(1))
    for unread, stored in ((set(), 5000), ({claimed.id}, 1)):
        world.app.record_readings(
            [late], finished=(), first_reads={}, claimed_by="worker", unread=unread, alerts=True
        )
        with world.database.read() as conn:
            assert stored == wallets.named(conn, [SHOP])[SHOP].readings.industry
