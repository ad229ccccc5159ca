"""A simulated quarter with top-ups, transfers, refunds, gaps and two clock changes, against its true ledger."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from balancebot.domain.balance import Category, WalletName, account_of, wallet_name
from balancebot.domain.order import Order, OrderState
from balancebot.domain.statement import Statement, StatementBy, StatementRow
from balancebot.history.rebook import rebook_account
from balancebot.statements.statement import MakeStatements
from balancebot.store import orders, readings, wallets
from balancebot.store.database import Database
from balancebot.store.readings import SnapshotRow
from tests.outbox_bench import HandClock
from tests.statements.ledger import Company

pytestmark = pytest.mark.slow

ZONE = ZoneInfo("Africa/Casablanca")
"""The clocks of this zone go back in February 2026 and forward in March."""
START = datetime(2025, 12, 30, tzinfo=UTC)
MONTHS = [date(2026, month, 1) for month in (1, 2, 3)]


def fill(database: Database, company: Company) -> None:
    """Read the company for a quarter; each purchase was ordered a day before."""
    rounds = list(company.rounds())
    names = {wallet for _, read in rounds for wallet in read}
    with database.write() as conn:
        wallets.sync(conn, sorted(names), now=START)
        ids = wallets.ids(conn)
    for start in range(0, len(rounds), 500):
        with database.write() as conn:
            readings.append_snapshots(
                conn,
                [
                    SnapshotRow(at, ids[wallet], found)
                    for at, read in rounds[start : start + 500]
                    for wallet, found in read.items()
                ],
            )
    with database.write() as conn:
        for purchase in company.purchases:
            order = Order(
                wallet=WalletName(account_of(purchase.wallet)),
                category=Category.INDUSTRY,
                quantity=purchase.messages,
                ordered_at=datetime.fromtimestamp(purchase.at, UTC) - timedelta(days=1),
                ordered_by="finance",
                expected_at=datetime.fromtimestamp(purchase.at, UTC) + timedelta(days=3),
                reference=f"{purchase.wallet} {purchase.at}",
            )
            orders.add(conn, order)
    for account in sorted({account_of(name) for name in names}):
        latest = rebook_account(
            database,
            account,
            since=rounds[0][0],
            until=rounds[-1][0] + 1,
            now=START,
            zone=ZONE.key,
            progress=lambda _: None,
        )
        with database.write() as conn:
            readings.catch_up(
                conn, ((row.wallet_id, row.readings, row.observed_at) for row in latest.values())
            )


def statement_of(database: Database, month: date, by: StatementBy = StatementBy.WALLET) -> Statement:
    clock = HandClock()
    clock.at = START + timedelta(days=120)
    make = MakeStatements(
        database=database,
        clock=clock,
        zone=ZONE,
        owners=dict,
        prices={Category.INDUSTRY: Decimal("0.045")},
        currency="CNY",
    )
    return make.make(month, by=by)


def is_balanced(row: StatementRow) -> bool:
    bought, moved_in, moved_out, refunded, used = row.flows
    total = (row.opening or 0) + bought + moved_in - moved_out + refunded - used + row.unexplained
    return total == (row.closing or 0)


def check(database: Database, company: Company) -> None:
    fill(database, company)
    hidden: dict[tuple[str, str], int] = defaultdict(int)
    for purchase in company.purchases:
        bought_in = f"{datetime.fromtimestamp(purchase.at - 1, ZONE):%Y-%m}"
        hidden[bought_in, purchase.wallet] += purchase.hidden
    before: Statement | None = None
    for month in MONTHS:
        statement = statement_of(database, month)
        days = statement_of(database, month, StatementBy.DAY)
        assert all(map(is_balanced, (*statement.rows, *statement.totals, *days.rows, *days.totals)))
        for total in (*statement.totals, *days.rows):
            assert total.flows.moved_in == total.flows.moved_out
        for row in statement.rows:
            wallet = wallet_name(row.account, row.app)
            truth = company.truth[statement.name, wallet]
            seen_all = row.opening is not None and row.closing is not None
            assert row.unexplained == 0 or not seen_all
            assert row.flows.moved_in == truth.moved_in
            assert row.flows.moved_out == truth.moved_out
            assert row.flows.refunded == truth.refunded
            assert row.flows.bought == truth.bought - hidden[statement.name, wallet]
            is_read = (statement.name, row.account) not in company.unread_ends
            if is_read or seen_all:
                assert abs(row.flows.used + hidden[statement.name, wallet] - truth.used) <= max(
                    30, truth.used * 0.005
                )
            if seen_all and is_read:
                assert row.opening == truth.opening
        if before is not None:
            closing = {(row.account, row.app): row.closing for row in before.rows}
            assert all(
                row.opening == closing[row.account, row.app]
                for row in statement.rows
                if row.opening is not None
            )
        before = statement
    with database.read() as conn:
        listed = orders.listed(conn)
        top_ups = orders.top_ups_between(conn, since=0, until=10**6)
        matches = orders.matches_of(conn, [top_up.id for top_up in top_ups])
    by_id = {order.id: order for order in listed}
    assert {OrderState.ARRIVED} == {order.state(START + timedelta(days=120)) for order in listed}
    for top_up in top_ups:
        assert [f"{top_up.wallet} {top_up.at}"] == [
            by_id[match.order_id].reference for match in matches[top_up.id]
        ]


@pytest.mark.long
def test_the_statements_of_a_quarter_of_forty_wallets_are_exact(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    check(database, Company(seed=7, start=START, days=94, zone=ZONE))
    database.dispose()


def test_the_statements_of_a_quarter_of_one_account_are_exact_in_postgresql(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    check(database, Company(seed=11, start=START, days=94, zone=ZONE, accounts=1, apps=5))
    database.dispose()
