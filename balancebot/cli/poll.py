"""`poll`: one round by hand or from cron, beside a running daemon or instead of one."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from balancebot.cli.errors import CommandError
from balancebot.cli.paint import faint, of_severity
from balancebot.cli.session import application, session_of
from balancebot.cli.table import Column, table
from balancebot.domain.balance import Category, Snapshot
from balancebot.wording import Wording

if TYPE_CHECKING:
    from balancebot.bootstrap import Bot
    from balancebot.settings import Log
    from balancebot.usecases.delivery_report import DeliverReport
    from balancebot.usecases.poll_cycle import PollReport

app = application()


@app.command(no_args_is_help=False)
def poll(
    context: typer.Context,
    no_alerts: Annotated[
        bool, typer.Option("--no-alerts", help="store readings, leave alerts as they are and send nothing")
    ] = False,
) -> None:
    """Read every wallet now and deliver what waits."""
    from balancebot.bootstrap import Bot
    from balancebot.observability import Metrics, Reporter, set_up_logging
    from balancebot.scheduler import Job, Scheduler
    from balancebot.usecases.presence import EVERY

    session = session_of(context)
    settings = session.settings_with_secrets
    set_up_logging(_quiet(settings.log))
    bot = Bot(settings, session.database)
    reporter = Reporter(Metrics(bot.standing))
    presence = bot.presence("poll")
    presence.show()
    alive = Scheduler([Job(name="presence", every=EVERY, act=presence.show)], bot.clock)
    alive.start()
    try:
        report = _read(bot, alerts=not no_alerts)
        reporter.polled(report)
        print(_for_people(report))
        delivered = None if no_alerts else _deliver(bot)
        if delivered is not None:
            reporter.delivered(delivered)
    finally:
        alive.stop(EVERY)
        presence.leave()
        bot.close()
    if report.errors or report.faults or (delivered is not None and delivered.num_pending != 0):
        raise CommandError(*_failures(report, delivered))


def _quiet(log: "Log") -> "Log":
    """Log what goes wrong; what was done stands on stdout."""
    from balancebot.settings import LogLevel

    return replace(log, level=LogLevel.WARNING) if log.level is LogLevel.INFO else log


def _read(bot: "Bot", *, alerts: bool) -> "PollReport":
    bot.sync_wallets()
    report = bot.poll_cycle.run_all(bot.settings.wallets, alerts=alerts)
    if report.complete and bot.heartbeat is not None:
        trouble = bot.heartbeat.beat()
        if trouble:
            print(trouble, file=sys.stderr)
    return report


def _deliver(bot: "Bot") -> "DeliverReport":
    bot.operate_alerts.tend()
    return bot.deliver_outbox.run()


def _for_people(report: "PollReport") -> str:
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
    seconds = (report.ended_at - report.started_at).total_seconds()
    lines = [
        *([table(columns, rows), ""] if rows else []),
        *_news(report),
        faint(f"read {len(rows):,} of {len(report.results):,} wallets in {seconds:.1f} s"),
    ]
    return "\n".join(lines)


def _news(report: "PollReport") -> Iterator[str]:
    for told in report.told:
        subject = told.subject
        about = subject.wallet if subject.category is None else f"{subject.wallet}:{subject.category}"
        kind = subject.kind.replace("_", " ")
        yield f"{told.reason}: {about} {kind}, {of_severity(told.severity.word, told.severity)}"


def _failures(report: "PollReport", delivered: "DeliverReport | None") -> Sequence[str]:
    lines = [error.message for error in report.errors]
    lines += [f"not kept: {fault}" for fault in report.faults]
    if delivered is not None and delivered.num_pending is None:
        lines.append("whether everything was delivered is not known: the database can't be asked")
    elif delivered is not None and delivered.num_pending:
        num = delivered.num_pending
        lines.append(f"{num} deliver{'y waits' if num == 1 else 'ies wait'} in the outbox for the next try")
    return lines
