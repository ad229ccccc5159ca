"""`poll`: one round by hand or from cron, beside a running daemon or instead of one."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from balancebot.cli.context import CommandError, application, context_of
from balancebot.cli.output import Column, faint, of_severity, text_table
from balancebot.domain.balance import Category, Snapshot
from balancebot.i18n import Wording

if TYPE_CHECKING:
    from balancebot.app import App
    from balancebot.poll.cycle import PollReport

app = application()


@app.command(no_args_is_help=False)
def poll(
    context: typer.Context,
    no_alerts: Annotated[
        bool, typer.Option("--no-alerts", help="store readings, leave alerts as they are and send nothing")
    ] = False,
) -> None:
    """Read every wallet now and deliver what waits."""
    from balancebot.cli.running import running, undelivered

    waiting: list[str] = []
    session = context_of(context)
    with running(session.settings_with_secrets, session.database) as (bot, reporter):
        report = _read(bot, alerts=not no_alerts)
        reporter.polled(report)
        print(_for_people(report))
        if not no_alerts:
            bot.operate_alerts.tend()
            delivered = bot.deliver_outbox.run()
            reporter.delivered(delivered)
            waiting = undelivered(delivered)
    failures = [
        *(error.message for error in report.errors),
        *(f"not kept: {fault}" for fault in report.faults),
        *waiting,
    ]
    if failures:
        raise CommandError(*failures)


def _read(bot: "App", *, alerts: bool) -> "PollReport":
    from balancebot.cli.output import counted

    bot.sync_wallets()
    with counted("reading", len(bot.settings.wallets)) as progress:
        report = bot.poll_cycle.run_all(bot.settings.wallets, alerts=alerts, progress=progress)
    if report.complete and bot.heartbeat is not None:
        trouble = bot.heartbeat.beat()
        if trouble:
            print(trouble, file=sys.stderr)
    return report


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
        *([text_table(columns, rows), ""] if rows else []),
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
