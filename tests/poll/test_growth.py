"""The process runs for months: what a cycle needs is given back."""

import gc
from collections import Counter
from datetime import timedelta

from balancebot.ports import SourceErrorKind
from balancebot.store.database import Database
from tests.world import SHOP, WEB, World, industry

WARM_UP, CYCLES = 12, 16
"""Poll cycles: until every statement was compiled and every module imported, and those that are measured."""


def run(world: World, cycles: range) -> None:
    """Poll every six hours, with an alert that opens and recovers every day, and a wallet whose key is refused."""
    world.shows(SourceErrorKind.CREDENTIALS, wallet=WEB)
    for cycle in cycles:
        world.shows(industry((500 if cycle % 4 < 2 else 50_000) - cycle))
        world.poll()
        world.app.operate_alerts.tick()
        world.app.operate_orders.tick()
        world.app.send_digest.run_due()
        world.deliver()
        world.app.latest.read(now=world.clock.now())
        world.slack.messages.clear()
        world.slack.requests.clear()
        world.mail.messages.clear()
        world.mail.requests.clear()
        world.source.requests.clear()
        world.clock.at += timedelta(hours=6)


BOUNDED = {"ReferenceType", "Statement"}
"""Python's `sqlite3` drops weak references to cursors 200 at a time, and keeps up to 128 statements per connection."""


def objects() -> Counter[str]:
    gc.collect()
    return Counter(type(found).__qualname__ for found in gc.get_objects())


def test_further_cycles_leave_no_objects_behind(sqlite_url: str) -> None:
    world = World(Database(sqlite_url))
    world.configure(SHOP, WEB)
    world.limit(warning_below=1_000, critical_below=100)
    run(world, range(WARM_UP))
    before = objects()

    run(world, range(WARM_UP, WARM_UP + CYCLES))

    left = objects() - before
    assert {} == {name: count for name, count in left.items() if count >= CYCLES and name not in BOUNDED}
    world.close()
    world.database.dispose()
