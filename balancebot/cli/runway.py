"""`runway`: burn and runway of the user's own series; it needs no configuration and no database."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group
from balancebot.cli.output import Column, show, text_table
from balancebot.history.files import open_history
from balancebot.history.series import MAX_LINE, answer_line, estimate_file, zone_fault
from balancebot.history.series import as_json as in_hours
from balancebot.i18n import Wording

commands = command_group()

_MAX_FAULTS = 20
"""How many faults of a file are printed; a file of another kind has one in every line."""


def _known_zone(zone: str) -> str:
    fault = zone_fault(zone)
    if fault:
        raise typer.BadParameter(fault)
    return zone


@commands.command(no_args_is_help=True)
def runway(
    file: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="columns observed_at,wallet,category,balance"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a balance, in hours")] = False,
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="answer JSON lines from stdin, each at once")
    ] = False,
    zone: Annotated[
        str, typer.Option("--tz", metavar="ZONE", callback=_known_zone, help="whose hours of the week count")
    ] = "UTC",
) -> None:
    """Show burn and runway of series of your own."""
    if as_lines == (file is not None):
        raise typer.BadParameter("takes either a file or --jsonl")
    if file is not None:
        _of_file(file, zone, as_json=as_json)
    elif not _of_lines(zone):
        raise typer.Exit(1)


def _of_lines(zone: str) -> bool:
    """Answer each line of stdin as it comes; return whether all lines could be read."""
    all_read = True
    while line := sys.stdin.buffer.readline(MAX_LINE + 1):
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):  # skip the rest of a line that is too long
            rest = sys.stdin.buffer.readline(MAX_LINE + 1)
        if line.strip():
            answer = answer_line(line.decode("utf-8-sig", errors="surrogateescape"), zone)
            all_read = all_read and "error" not in json.loads(answer)
            print(answer, flush=True)
    return all_read


def _of_file(file: Path, zone: str, *, as_json: bool) -> None:

    try:
        with file.open("rb") as data:
            estimates, faults = estimate_file(open_history(data), zone)
    except OSError as error:
        raise CommandError(f"{file}: can't be read: {error.strerror}") from None
    if faults:
        more = [f"… and {len(faults) - _MAX_FAULTS:,} more"] if len(faults) > _MAX_FAULTS else []
        raise CommandError(*(f"{file}: {fault}" for fault in faults[:_MAX_FAULTS]), *more)
    if as_json:
        for series in estimates:
            print(json.dumps({"id": str(series.balance)} | in_hours(series.estimate), ensure_ascii=False))
        return
    if not estimates:
        raise CommandError(f"{file}: has no readings")
    words = Wording()
    show(
        text_table(
            (
                Column("balance"),
                Column("left", is_number=True),
                Column("burn a day", is_number=True),
                Column("runway"),
                Column("last reading"),
            ),
            [
                (
                    str(series.balance),
                    words.cell(series.reading),
                    *(
                        (
                            words.burn(series.estimate.burn_per_day).removesuffix(" a day"),
                            words.runway(series.estimate.runway),
                        )
                        if isinstance(series.reading, int)
                        else ("", "")
                    ),
                    f"{datetime.fromtimestamp(series.observed_at, UTC):%Y-%m-%d %H:%M}",
                )
                for series in estimates
            ],
        )
    )
