"""A command that does the daemon's work for a moment, with a heartbeat while it does, so that its claims hold."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from balancebot.app import App, build_app, preview_channels
from balancebot.cli.context import RefusedError
from balancebot.config import LogConfig, LogLevel, Settings
from balancebot.logs import Reporter, set_up_logging
from balancebot.metrics import Metrics
from balancebot.notify.queue import DeliverReport
from balancebot.ports import ChannelErrorKind
from balancebot.scheduler import Job, Scheduler
from balancebot.store.database import Database
from balancebot.worker import EVERY

if TYPE_CHECKING:
    from balancebot.config import Settings
    from balancebot.store.database import Database


@contextmanager
def running(
    settings: Settings, database: Database, *, say: Callable[[str], None] | None = None
) -> Iterator[tuple[App, Reporter]]:
    """Open the bot, and close it at the end of the block; with `say`, messages are shown and not sent."""
    set_up_logging(_quiet(settings.log))
    channels = None if say is None else preview_channels(settings, say)
    bot = build_app(settings, database, channels=channels)
    try:
        _ = bot.source
    except ValueError as error:
        raise RefusedError(f"{settings.path}: poll: {error}") from None
    presence = bot.worker_heartbeat("poll")
    presence.show()
    alive = Scheduler([Job(name="presence", every=EVERY, act=presence.show)])
    alive.start()
    try:
        yield bot, Reporter(Metrics(bot.system_status, channels=bot.settings.channel_by_name))
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


def _quiet(log: LogConfig) -> LogConfig:
    """Log faults of our own only: the command itself tells what was done and what failed."""
    return replace(log, level=LogLevel.ERROR) if log.level is LogLevel.INFO else log
