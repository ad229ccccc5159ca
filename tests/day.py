"""A world whose news arrives at once: from readings through the outbox to what stands in Slack and in the mailbox."""

from datetime import timedelta

from balancebot.notify.worker import DeliverOutbox
from balancebot.store import workers
from balancebot.store.database import Database
from tests.outbox_bench import Message, Room
from tests.world import SHOP, World, industry


class Day:
    """One wallet (or more) with limits in messages, and both channels."""

    def __init__(self, database: Database) -> None:
        self.world = World(database)
        self.world.configure(SHOP)
        self.world.limit(warning_below=1000, critical_below=100, warning_days=-1, critical_days=-1)
        self.slack = Room("slack", self.world.clock)
        self.mail = Room("email", self.world.clock, can_look=False)
        with database.write() as conn:
            workers.register(conn, "sender", kind="run", now=self.world.clock.now())
        self._deliver = DeliverOutbox(
            database,
            {"slack": self.slack, "email": self.mail},
            self.world.clock,
            "sender",
            group_over=5,
            defaults={"slack": ("#ops",), "email": ("finance@example.com",)},
        )

    def reads(self, *balances: int, then: timedelta = timedelta(minutes=30)) -> None:
        """Read these balances one after the other, let everything arrive, and let time pass after each."""
        for balance in balances:
            self.world.shows(industry(balance))
            self.world.poll()
            self.world.operate.tend()
            self.arrives()
            self.world.clock.at += then

    def arrives(self) -> None:
        with self.world.database.write() as conn:
            workers.renew(conn, "sender", now=self.world.clock.now())
        self._deliver.run()

    def close(self) -> None:
        self._deliver.close(timedelta(seconds=5))

    def living(self) -> Message:
        """The latest message that isn't an answer."""
        return [each for each in self.slack.messages if each.below is None][-1]
