"""`alerts`, `silence`, `silences`: lists open alerts, acknowledges them, and mutes patterns for a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from balancebot.alerts.acts import OperateAlerts
from balancebot.answers import (
    AlertsAnswer,
    SilencesAnswer,
    alert_answer,
    alert_severity,
    silence_answer,
    with_causes,
)
from balancebot.cli.context import CommandError, command_group, context_of, read_length, read_pattern
from balancebot.cli.output import Column, of_severity, show, show_error, show_json, text_table
from balancebot.clock import SystemClock
from balancebot.domain.alert import Alert
from balancebot.domain.local_time import local_time
from balancebot.domain.message import AlertMessage
from balancebot.domain.sentence import without_marks
from balancebot.domain.silence import LONGEST_SILENCE
from balancebot.i18n import Wording
from balancebot.store import alerts as stored_alerts
from balancebot.store import silences as stored_silences

alert_commands = command_group()
silence_commands = command_group()
silences_commands = command_group()

_MOST = 10_000


@alert_commands.callback()
def alerts() -> None:
    """Show what is open; acknowledge."""


@alert_commands.command("list")
def list_alerts(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="closed alerts, too")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show the open alerts, the newest first."""

    command = context_of(context)
    with command.database.read() as conn:
        found = stored_alerts.listed(conn, closed=every, limit=_MOST)
        listed = with_causes(conn, found)
    words = Wording(zone=command.settings.timezone)
    if as_json:
        show_json(AlertsAnswer(alerts=[alert_answer(*pair, words, closed=every) for pair in listed]))
        return
    if not listed:
        show("No alert was ever opened." if every else "No alert is open.")
        return
    columns = (
        "id",
        "alert",
        "severity",
        "opened",
        *(("closed",) if every else ()),
        "acknowledged by",
        "reason",
    )
    show(
        text_table(
            [Column(title) for title in columns],
            [_row(last.alert, cause, words, closed=every) for last, cause in listed],
        )
    )


@alert_commands.command("ack", no_args_is_help=True)
def acknowledge(
    context: typer.Context,
    alert_id: Annotated[str, typer.Argument(metavar="ID")],
    note: Annotated[str, typer.Option("--note", help="what is being done about it")] = "",
) -> None:
    """Stop the reminders of an alert until it worsens."""
    acknowledged = _operating(context).acknowledge(alert_id, by=context_of(context).actor(), note=note)
    if acknowledged is None:
        raise CommandError(f"no open alert has the id {alert_id}")
    show(
        f"acknowledged alert {alert_id}: {_about(acknowledged)}; no more messages until it worsens or recovers"
    )


@silence_commands.command(no_args_is_help=True)
def silence(
    context: typer.Context,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="such as 'acme/*:market'")],
    length: Annotated[str, typer.Option("--for", metavar="TIME", help="such as 30m, 4h or 2d; at most 30d")],
    reason: Annotated[str, typer.Option("--reason")] = "",
) -> None:
    """Mute what a pattern matches for a while."""

    wanted = read_pattern(pattern)
    until = SystemClock().now() + read_length("--for", length, at_most=LONGEST_SILENCE)
    if not any(map(wanted.wallet.matches, context_of(context).settings.wallets)):
        show_error(f"{pattern} matches no configured wallet")
    made = _operating(context).silence(wanted, until=until, reason=reason, by=context_of(context).actor())
    zone = context_of(context).settings.timezone
    show(f"silence {made.id}: {pattern} is silent until {local_time(until, zone):%Y-%m-%d %H:%M} {zone}")


@silences_commands.callback()
def silences() -> None:
    """Show silences; end one."""


@silences_commands.command("list")
def list_silences(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="ended silences, too")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show the silences in force."""

    command = context_of(context)
    with command.database.read() as conn:
        found = stored_silences.latest(conn) if every else stored_silences.active(conn, SystemClock().now())
    if as_json:
        show_json(SilencesAnswer(silences=[silence_answer(silence) for silence in found]))
        return
    if not found:
        show("Nothing is silent.")
        return
    zone = command.settings.timezone
    show(
        text_table(
            [Column(title) for title in ("id", "pattern", "until", "by", "reason")],
            [
                (
                    str(row.id),
                    row.pattern.text,
                    f"{local_time(row.ended_at or row.until, zone):%Y-%m-%d %H:%M}",
                    row.created_by,
                    without_marks(row.reason),
                )
                for row in found
            ],
        )
    )


@silences_commands.command("end", no_args_is_help=True)
def end(context: typer.Context, silence_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a silence early; what it muted and is still open is sent."""
    if not _operating(context).end_silence(silence_id, by=context_of(context).actor()):
        raise CommandError(f"no active silence has the id {silence_id}")
    show(f"ended silence {silence_id}")


def _operating(context: typer.Context) -> OperateAlerts:
    return context_of(context).app.operate_alerts


def _row(alert: Alert, cause: AlertMessage, words: Wording, *, closed: bool) -> Sequence[str]:
    def local(at: datetime | None) -> str:
        return "" if at is None else f"{words.local(at):%Y-%m-%d %H:%M}"

    return (
        str(alert.id),
        _about(alert),
        of_severity(alert_severity(alert).word, alert_severity(alert)),
        local(alert.opened_at),
        *((local(alert.closed_at),) if closed else ()),
        alert.acknowledged_by,
        words.why(cause),
    )


def _about(alert: Alert) -> str:
    subject = alert.subject
    wallet = subject.wallet if subject.category is None else f"{subject.wallet}:{subject.category}"
    return f"{wallet} {subject.kind.replace('_', ' ')}"
