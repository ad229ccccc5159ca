"""`poll`: one poll cycle by hand or from cron, next to a running daemon or instead of one.

`running` is for every command that does the daemon's work for a short time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from balancebot.app import App, build_app, preview_channels
from balancebot.cli.context import CommandError, RefusedError, command_group, context_of
from balancebot.cli.output import Column, counted, faint, of_severity, show, show_error, text_table
from balancebot.config import LogConfig, LogLevel, Settings
from balancebot.domain.balance import Category, Snapshot
from balancebot.i18n import Wording
from balancebot.logs import Reporter, set_up_logging
from balancebot.metrics import Metrics
from balancebot.notify.queue import DeliverReport
from balancebot.poll.cycle import PollReport
from balancebot.ports import ChannelErrorKind
from balancebot.scheduler import Job, Scheduler
from balancebot.store.database import Database
from balancebot.store.workers import HEARTBEAT_EVERY

commands = command_group()


@commands.command(no_args_is_help=False)
def poll(
    context: typer.Context,
    no_alerts: Annotated[
        bool, typer.Option("--no-alerts", help="store readings, leave alerts as they are and send nothing")
    ] = False,
) -> None:
    """Read every wallet now and deliver what waits."""

    waiting: list[str] = []
    command = context_of(context)
    with running(command.settings_with_secrets, command.database) as (app, reporter):
        report = _read(app, alerts=not no_alerts)
        reporter.polled(report)
        show(_for_people(report))
        damaged = app.damage_remarks()
        if not no_alerts:
            app.operate_alerts.tick()
            app.operate_orders.tick()
            delivered = app.deliver_outbox.run()
            reporter.delivered(delivered)
            waiting = undelivered(delivered)
    failures = [
        *(str(error.message) for error in report.errors),
        *(f"not kept: {fault}" for fault in report.faults),
        *damaged,
        *waiting,
    ]
    if failures:
        raise CommandError(*failures)


def _read(app: App, *, alerts: bool) -> PollReport:
    app.sync_wallets()
    with counted("reading", len(app.settings.wallets)) as progress:
        report = app.poll_cycle.run_all(app.settings.wallets, alerts=alerts, progress=progress)
    if report.complete and app.heartbeat is not None:
        failure = app.heartbeat.beat()
        if failure:
            show_error(failure)
    return report


def _for_people(report: PollReport) -> str:
    words = Wording()
    rows = sorted(
        (
            (result.wallet, *(words.cell(reading) for _, reading in result.readings.items()))
            for result in report.results
            if isinstance(result, Snapshot)
        ),
        key=lambda row: row[0],
    )
    columns = (Column("wallet"), *(Column(category.value, is_number=True) for category in Category))
    lines = [
        *([text_table(columns, rows), ""] if rows else []),
        *_changed_alerts(report),
        faint(f"read {len(rows):,} of {len(report.results):,} wallets in {report.seconds:.1f} s"),
    ]
    return "\n".join(lines)


def _changed_alerts(report: PollReport) -> Iterator[str]:
    for notified in report.notified:
        subject = notified.subject
        about = subject.wallet if subject.category is None else f"{subject.wallet}:{subject.category}"
        kind = subject.kind.replace("_", " ")
        yield f"{notified.reason}: {about} {kind}, {of_severity(notified.severity.word, notified.severity)}"


@contextmanager
def running(
    settings: Settings, database: Database, *, show: Callable[[str], None] | None = None
) -> Iterator[tuple[App, Reporter]]:
    """Open an app, and close it at the end of the block. With `show`, messages are shown instead of sent.

    Meanwhile a worker heartbeat keeps the process's claims.
    """
    channels = None if show is None else preview_channels(settings, show)
    app = build_app(settings, database, channels=channels)
    set_up_logging(_errors_only(settings.log), redact=app.redact)
    try:
        _ = app.source
    except ValueError as error:
        raise RefusedError(f"{settings.path}: poll: {error}") from None
    heartbeat = app.worker_heartbeat("poll")
    heartbeat.show()
    scheduler = Scheduler([Job(name="worker_heartbeat", every=HEARTBEAT_EVERY, run=heartbeat.show)])
    scheduler.start()
    try:
        yield app, Reporter(Metrics(app.system_status, channels=settings.channel_by_name))
    finally:
        scheduler.stop(HEARTBEAT_EVERY)
        heartbeat.leave()
        app.close()


def undelivered(report: DeliverReport) -> list[str]:
    """Return what wasn't delivered and why; an empty list if everything was."""
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


def _errors_only(log: LogConfig) -> LogConfig:
    """Log only faults of our own: the command itself reports what was done and what failed."""
    return replace(log, level=LogLevel.ERROR) if log.level is LogLevel.INFO else log
