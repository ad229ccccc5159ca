"""Planned sends and the slots of digests."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.store import digest_slots, planned_sends
from balancebot.store.database import Database
from balancebot.store.digest_slots import MadeDigest
from balancebot.store.planned_sends import PlannedSend

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SALE = PlannedSend(
    balance=BalanceKey(WalletName("acme/shop"), Category.MARKET),
    messages=200_000,
    starts_at=NOON + timedelta(hours=8),
    ends_at=NOON + timedelta(hours=10),
    note="winter sale",
    created_by="cli",
    created_at=NOON,
)
MORNING = MadeDigest(name="weekday", slot="2026-11-24T09:00", made_at=NOON, summary="{}")


def test_planned_sends_are_listed_until_they_end_the_next_first(database: Database) -> None:
    earlier = replace(SALE, starts_at=NOON, ends_at=NOON + timedelta(hours=9))
    with database.write() as conn:
        late, early = planned_sends.add(conn, SALE), planned_sends.add(conn, earlier)
        found = [planned_sends.not_over(conn, now=NOON + timedelta(hours=hours)) for hours in (0, 9, 10)]
    assert [
        (replace(earlier, id=early), replace(SALE, id=late)),
        (replace(SALE, id=late),),
        (),
    ] == found


def test_a_planned_send_is_removed_once(database: Database) -> None:
    with database.write() as conn:
        plan_id = planned_sends.add(conn, SALE)
        assert [True, False] == [planned_sends.remove(conn, plan_id, now=NOON) for _ in range(2)]
        assert planned_sends.find(conn, plan_id) is None
        assert () == planned_sends.not_over(conn, now=NOON)


def test_an_unknown_id_finds_no_planned_send(database: Database) -> None:
    with database.read() as conn:
        assert [None] * 4 == [planned_sends.find(conn, wrong) for wrong in ("", "x", "-1", "9" * 30)]


def test_a_slot_is_claimed_once_if_many_try(database: Database) -> None:
    def claim(_: int) -> bool:
        with database.write() as conn:
            return digest_slots.claim(conn, MORNING)

    with ThreadPoolExecutor(4) as pool:
        assert [False] * 3 + [True] == sorted(pool.map(claim, range(4)))


def test_the_latest_digest_of_a_name_is_found(database: Database) -> None:
    later = replace(MORNING, slot="2026-11-25T09:00", made_at=NOON + timedelta(days=1), summary='{"a": 1}')
    with database.write() as conn:
        for made in (MORNING, later, replace(later, name="weekly", made_at=NOON + timedelta(days=9))):
            digest_slots.claim(conn, made)
        assert later == digest_slots.latest(conn, "weekday")
        assert digest_slots.latest(conn, "monthly") is None
