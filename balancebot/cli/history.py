"""`history`: imports and exports past readings. Importing twice changes nothing; alerts don't change."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.cli.output import counted, plural, share
from balancebot.clock import SystemClock
from balancebot.history.files import ImportRefused, export_history, import_history, open_history

commands = command_group()


@commands.callback()
def history() -> None:
    """Import past readings from a CSV file, or export them."""


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
        print(f"{file} holds no reading.")
        return
    print(
        f"imported {plural(taken.num_rows, 'reading')} of {plural(len(taken.wallets), 'wallet')}, "
        f"{taken.since:%Y-%m-%d %H:%M} to {taken.until:%Y-%m-%d %H:%M} UTC"
    )


@commands.command("export", no_args_is_help=True)
def export_file(
    context: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", help="- is stdout")]
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
            num_rows = export_history(database, out, progress=progress)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{file}: can't be written: {error.strerror}") from None
    print(f"wrote {plural(num_rows, 'reading')}", file=sys.stderr)
