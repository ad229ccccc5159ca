"""The table of commands: what each does in a line, and where it stands.

`balancebot --help` is printed from it, so that it costs no import; each command's module is loaded when it is called.
"""

from dataclasses import dataclass
from itertools import groupby

from balancebot.cli.paint import bold


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One command, or a group of them."""

    part: str
    """The heading under which it is listed."""
    name: str
    summary: str
    place: str
    """`module:attribute` of its typer application, below this package."""


COMMANDS = {
    entry.name: entry
    for entry in (
        Entry(
            part="Look",
            name="status",
            summary="show every balance with its burn, runway and severity",
            place="status:app",
        ),
        Entry(
            part="Look",
            name="runway",
            summary="tell burn and runway of series of your own",
            place="runway:app",
        ),
        Entry(
            part="Decide",
            name="thresholds",
            summary="show and change limits",
            place="thresholds:app",
        ),
        Entry(
            part="Start",
            name="init",
            summary="write a commented configuration; never overwrites",
            place="init:app",
        ),
        Entry(
            part="Start",
            name="run",
            summary="read, judge and tell until stopped; serves the pages",
            place="run:app",
        ),
        Entry(
            part="Start",
            name="poll",
            summary="read every wallet now and deliver what waits",
            place="poll:app",
        ),
    )
}


def overview() -> str:
    """Write what `balancebot --help` shows."""
    width = max(map(len, COMMANDS))
    parts = "\n\n".join(
        "\n".join((bold(part), *(f"  {entry.name:<{width}}  {entry.summary}" for entry in entries)))
        for part, entries in groupby(COMMANDS.values(), key=lambda entry: entry.part)
    )
    return f"""\
Will we run out of SMS, when, and who must act?

{bold("balancebot [--config FILE] COMMAND")}

{parts}

{bold("Options")}
  --config FILE  the configuration; else $BALANCEBOT_CONFIG, else ./balancebot.toml
  --version      which balancebot this is
  --help         this list; after a command, what it takes

Exit status: 0 done; 1 it ran and something failed; 2 usage or configuration."""
