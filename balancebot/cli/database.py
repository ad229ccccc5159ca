"""`db`: upgrades, backs up, restores, checks and prunes the database."""

from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.cli.output import show
from balancebot.clock import SystemClock
from balancebot.history.prune import pack, prune
from balancebot.store.backup import BackupFailed, back_up, find_faults
from balancebot.store.backup import restore as put_back
from balancebot.store.database import Database

commands = command_group()


@commands.callback()
def database() -> None:
    """Upgrade, back up, restore, check or prune the database."""


@commands.command()
def upgrade(context: typer.Context) -> None:
    """Create the tables, or upgrade those of an older version."""
    show(f"{context_of(context).database.place}: up to date")


@commands.command(no_args_is_help=True)
def backup(
    context: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", help="must not exist yet")]
) -> None:
    """Copy the whole database as of now, while others read and write; the copy is verified."""

    made = back_up(context_of(context).database, file)
    if isinstance(made, BackupFailed):
        raise CommandError(made.message)
    show(f"wrote {made.file}: {made.num_bytes:,} bytes, verified")


@commands.command(no_args_is_help=True)
def restore(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="made by `db backup`")
    ],
) -> None:
    """Replace the database, which no process may have open, by a backup; what was sent before isn't sent again."""

    database = Database(context_of(context).settings.database.url.reveal())
    restored = put_back(database, file, now=SystemClock().now())
    if isinstance(restored, BackupFailed):
        raise CommandError(restored.message)
    kept = "" if restored.kept is None else f"; the previous database is {restored.kept}"
    show(f"{database.place}: restored from {file}{kept}")


@commands.command()
def check(context: typer.Context) -> None:
    """Check the whole database for damage; exit 1 if there is any."""

    database = context_of(context).database
    faults = find_faults(database)
    if faults:
        raise CommandError(*(f"{database.place}: {fault}" for fault in faults))
    show(f"{database.place}: whole")


@commands.command("prune")
def prune_now(context: typer.Context) -> None:
    """Remove now what is older than [retention] keeps, and pack days that are over; `run` does so by itself."""
    command = context_of(context)
    now = SystemClock().now()
    gone = prune(command.database, command.settings.retention, zone=command.settings.timezone, now=now)
    num_packed = sum(pack(command.database, now=now))
    show(
        f"removed {gone.num_snapshots:,} snapshots, {gone.num_hours:,} hours (days of them stay), "
        f"{gone.num_notifications:,} notifications, {gone.num_alerts:,} closed alerts, "
        f"{gone.num_sessions:,} ended log-ins; packed {num_packed:,} rows of days that are over"
    )
