"""`history`: imports and exports past readings, and lists the wrong ones.

Importing twice changes nothing; alerts don't change.
"""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of, read_pattern
from balancebot.cli.output import (
    Column,
    counted,
    json_instant,
    plural,
    share,
    show,
    show_error,
    show_json,
    text_table,
)
from balancebot.clock import SystemClock
from balancebot.domain.local_time import local_time
from balancebot.history.files import ImportRefused, export_history, import_history, open_history
from balancebot.store import wrong_readings

commands = command_group()


@commands.callback()
def history() -> None:
    """Import or export past readings, list wrong ones."""


@commands.command("import", no_args_is_help=True)
def import_file(
    context: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]
) -> None:
    """Import past readings from CSV or XLSX: columns observed_at,wallet,category,balance."""

    command = context_of(context)
    wallets = command.settings.wallets
    try:
        with (
            file.open("rb") as data,
            share("importing") as progress,
        ):
            taken = import_history(
                command.database,
                open_history(data),
                configured=wallets,
                estimator=command.app.estimator,
                now=SystemClock().now(),
                progress=progress,
            )
    except OSError as error:
        raise CommandError(f"{file}: can't be read: {error.strerror}") from None
    if isinstance(taken, ImportRefused):
        more = taken.num_faults - len(taken.faults)
        raise CommandError(
            *(f"{file}: {fault}" for fault in taken.faults),
            *([f"… and {more:,} more"] if more else []),
            "Nothing was imported.",
        )
    if taken.since is None or taken.until is None:
        show(f"{file} has no readings.")
        return
    show(
        f"imported {plural(taken.num_rows, 'reading')} of {plural(len(taken.wallets), 'wallet')}, "
        f"{taken.since:%Y-%m-%d %H:%M} to {taken.until:%Y-%m-%d %H:%M} UTC"
    )


@commands.command("export", no_args_is_help=True)
def export_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is stdout")],
    remarks: Annotated[
        bool, typer.Option("--remarks", help="with a column `remark`: which readings the next one took back")
    ] = False,
) -> None:
    """Export every stored reading, in the format of `import`."""

    database = context_of(context).database
    try:
        with (
            nullcontext(sys.stdout)
            if str(file) == "-"
            else file.open("w", encoding="utf-8", newline="") as out,
            counted("exporting", None) as progress,
        ):
            num_rows = export_history(database, out, remarks=remarks, progress=progress)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{file}: can't be written: {error.strerror}") from None
    show_error(f"wrote {plural(num_rows, 'reading')}")


@commands.command("wrong")
def list_wrong(
    context: typer.Context,
    pattern: Annotated[str, typer.Argument(metavar="[PATTERN]", help="such as acme/*:market")] = "*",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the readings that the next one took back, oldest first: they are neither usage nor a top-up."""
    wanted = read_pattern(pattern)
    command = context_of(context)
    with command.database.read() as conn:
        found = [
            wrong
            for wrong in wrong_readings.between(conn, since=datetime.fromtimestamp(0, UTC))
            if wanted.matches(*wrong.balance)
        ]
    if as_json:
        answers = [
            {
                "at": json_instant(wrong.read_at),
                "wallet": wrong.balance.wallet,
                "category": wrong.balance.category.value,
                "reading": wrong.reading,
                "instead": wrong.instead,
            }
            for wrong in found
        ]
        show_json({"wrong_readings": answers})
        return
    if not found:
        show("No reading was taken back by the next one.")
        return
    columns = (
        Column("read"),
        Column("balance"),
        Column("wrong reading", is_number=True),
        Column("reading before", is_number=True),
    )
    rows = [
        (
            f"{local_time(wrong.read_at, command.settings.timezone):%Y-%m-%d %H:%M}",
            str(wrong.balance),
            f"{wrong.reading:,}",
            f"{wrong.instead:,}",
        )
        for wrong in found
    ]
    show(text_table(columns, rows))
