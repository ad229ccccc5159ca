"""A command that does the bot's work for a moment: seen alive while it does, so that its claims hold, and gone after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from balancebot.bootstrap import Bot
from balancebot.cli.errors import RefusedError
from balancebot.observability import Metrics, Reporter, set_up_logging
from balancebot.ports import ChannelErrorKind
from balancebot.scheduler import Job, Scheduler
from balancebot.settings import Log, LogLevel, Settings
from balancebot.storage.database import Database
from balancebot.usecases.delivering.delivery_report import DeliverReport
from balancebot.usecases.presence import EVERY


@contextmanager
def at_work(
    settings: Settings, database: Database, *, say: Callable[[str], None] | None = None
) -> Iterator[tuple[Bot, Reporter]]:
    """Open the bot, and close it at the end of the block; with `say`, messages are shown and not sent."""
    set_up_logging(_quiet(settings.log))
    bot = Bot(settings, database, say=say)
    try:
        _ = bot.source
    except ValueError as error:
        raise RefusedError(f"{settings.path}: poll: {error}") from None
    presence = bot.presence("poll")
    presence.show()
    alive = Scheduler([Job(name="presence", every=EVERY, act=presence.show)])
    alive.start()
    try:
        yield bot, Reporter(Metrics(bot.standing))
    finally:
        alive.stop(EVERY)
        presence.leave()
        bot.close()


def undelivered(report: DeliverReport) -> list[str]:
    """Say what stayed undelivered, and why; nothing where nothing did."""
    if report.num_pending is None:
        return ["whether everything was delivered is not known: the database can't be asked"]
    if report.num_pending == 0:
        return []
    failed = [
        f"{attempt.channel} {attempt.destination}: {attempt.message}"
        for attempt in report.attempts
        if isinstance(attempt.outcome, ChannelErrorKind)
    ]
    num = report.num_pending
    waits = f"{num} deliver{'y waits' if num == 1 else 'ies wait'} in the outbox for the next try"
    return [*dict.fromkeys(failed), waits]


def _quiet(log: Log) -> Log:
    """Log faults of our own only: the command itself tells what was done and what failed."""
    return replace(log, level=LogLevel.ERROR) if log.level is LogLevel.INFO else log
