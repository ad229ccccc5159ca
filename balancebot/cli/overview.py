"""The table of commands: what each does in a line, and where it stands.

`balancebot --help` is printed from it, so that it costs no import; each command's module is loaded when it is called.
"""

from itertools import groupby
from typing import NamedTuple

from balancebot.cli.output import bold


class Entry(NamedTuple):
    """One command, or a group of them."""

    part: str
    """The heading under which it is listed."""
    name: str
    summary: str
    place: str
    """`module:attribute` of its typer application, below this package."""


COMMANDS = {
    name: Entry(part=part, name=name, summary=summary, place=place)
    for part, name, summary, place in (
        ("See", "demo", "the whole bot against a simulator: nothing to configure", "demo:app"),
        ("Start", "init", "write a commented configuration; never overwrites", "init:app"),
        ("Start", "config", "list the keys of the configuration", "config:app"),
        (
            "Start",
            "check",
            "try the configuration, the database, every credential, Slack and the mail server",
            "check:app",
        ),
        ("Start", "run", "read, judge and tell until stopped; serves the pages", "run:app"),
        ("Start", "poll", "read every wallet now and deliver what waits", "poll:app"),
        ("Look", "status", "show every balance with its burn, runway and severity", "status:app"),
        (
            "Look",
            "why",
            "explain a balance: what it is judged by, who was told, what would make it speak",
            "why:app",
        ),
        ("Look", "runway", "tell burn and runway of series of your own", "runway:app"),
        ("Look", "digest", "send a digest now, or look at it", "digest:app"),
        ("Decide", "thresholds", "show and change limits", "thresholds:app"),
        ("Decide", "alerts", "show what is open; acknowledge", "alerts:alerts_app"),
        ("Decide", "silence", "mute what a pattern matches for a while", "alerts:silence_app"),
        ("Decide", "silences", "show what is silent; end a silence", "alerts:silences_app"),
        ("Decide", "advise", "say what to buy by when, so that quota lasts to a date", "advise:app"),
        ("Decide", "plans", "announce sends that no balance shows yet", "planned_sends:app"),
        ("Decide", "deliveries", "show what waits or never arrived; send it again", "deliveries:app"),
        ("Keep", "history", "take past readings from a CSV file, or write them to one", "history:app"),
        ("Keep", "db", "upgrade, back up or prune the database", "database:app"),
        ("Keep", "users", "keep the log-ins of the web pages", "users:app"),
        ("Try", "notify", "send a test message to each channel", "notify:app"),
        ("Try", "simulate", "run the JSMS simulator alone until stopped", "simulate:app"),
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
