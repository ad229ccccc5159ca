"""The command line: `main`, and the table of commands. The module of a command is imported when it is called.

Start with the table below. `root.py` finds and runs the command; `context.py` has what every command uses. Exit status:
0 success; 1 the command ran and something failed; 2 wrong usage or configuration. Expected failures are printed as
lines, never as a traceback.
"""

import os
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from balancebot.cli.output import bold
from balancebot.cli.process import (
    decoded_arguments,
    discard_output,
    prepare_streams,
    skip_startup_gc,
    use_one_blas_thread,
)


class CommandEntry(NamedTuple):
    """One command, or a group of them."""

    heading: str
    """The heading under which it is listed."""
    name: str
    summary: str
    place: str
    """`module:attribute` of its typer application, relative to this package."""


COMMANDS = {
    name: CommandEntry(heading=heading, name=name, summary=summary, place=place)
    for heading, name, summary, place in (
        ("See", "demo", "the whole bot against a simulator: nothing to configure", "demo:commands"),
        ("Start", "init", "write a commented configuration; never overwrites", "config:init_commands"),
        ("Start", "config", "list the keys of the configuration", "config:commands"),
        (
            "Start",
            "check",
            "try the configuration, the database, every credential, Slack and the mail server",
            "check:commands",
        ),
        ("Start", "run", "poll, judge and notify until stopped; serves the pages", "run:commands"),
        (
            "Start",
            "reload",
            "have the running daemon read its configuration again",
            "reload:commands",
        ),
        ("Start", "poll", "read every wallet now and deliver what waits", "poll:commands"),
        ("Look", "status", "show every balance with its burn, runway and severity", "status:commands"),
        (
            "Look",
            "why",
            "explain a balance: how it is judged, who was notified, when it alerts next",
            "why:commands",
        ),
        ("Look", "runway", "show burn and runway of series of your own", "runway:commands"),
        (
            "Look",
            "statement",
            "what was there, bought, moved, used and left in a month",
            "statement:commands",
        ),
        ("Look", "digest", "send a digest now, or look at it", "digest:commands"),
        ("Decide", "thresholds", "show and change limits", "thresholds:commands"),
        ("Decide", "alerts", "show what is open; acknowledge", "alerts:alert_commands"),
        ("Decide", "silence", "mute what a pattern matches for a while", "alerts:silence_commands"),
        ("Decide", "silences", "show silences; end one", "alerts:silences_commands"),
        (
            "Decide",
            "advise",
            "show what to move and buy by when, so that quota lasts to a date",
            "advise:commands",
        ),
        ("Decide", "orders", "record purchases, and see how much has arrived", "orders:commands"),
        ("Decide", "plans", "announce sends that no balance shows yet", "planned_sends:commands"),
        ("Decide", "deliveries", "show what waits or never arrived; send it again", "deliveries:commands"),
        ("Manage", "history", "import or export past readings, list wrong ones", "history:commands"),
        ("Manage", "db", "upgrade, back up, restore, check or prune the database", "database:commands"),
        ("Manage", "users", "manage the users of the web pages", "users:commands"),
        ("Manage", "tokens", "manage the tokens of programs that use the API", "tokens:commands"),
        ("Try", "notify", "send a test message to each channel", "notify:commands"),
        ("Try", "simulate", "run the JSMS simulator alone until stopped", "demo:simulate_commands"),
    )
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `words` are the process's arguments by default."""
    given = sys.argv[1:] if words is None else words
    prepare_streams()
    # The database contains password hashes and exports contain balances: no other user of the machine may read them.
    os.umask(0o077)
    try:
        status = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe has closed it
        discard_output()
        return 1
    except OSError as error:
        discard_output()
        print(f"can't continue: {error.strerror or error}", file=sys.stderr)
        return 1
    return status


def _run(given: Sequence[str]) -> int:
    words = decoded_arguments(given)
    if words is None:
        print("the words after balancebot must be UTF-8", file=sys.stderr)
        return 2
    # When a shell asks for completions, what the user has typed so far is in environment variables.
    is_asked_by_shell = "_BALANCEBOT_COMPLETE" in os.environ
    if words in (["--help"], ["-h"], []) and not is_asked_by_shell:
        print(overview())
        return 0 if words else 2
    from balancebot.cli.ask_daemon import ask_daemon  # lazy: `--help` is to be quick

    status = ask_daemon(words)
    if status is not None:
        return status
    skip_startup_gc()
    use_one_blas_thread()
    from balancebot.cli.root import run  # lazy: `--help` needs neither typer nor the database

    return run(words)


def overview() -> str:
    """Return the text of `balancebot --help`."""
    width = max(map(len, COMMANDS))
    parts = "\n\n".join(
        "\n".join((bold(heading), *(f"  {entry.name:<{width}}  {entry.summary}" for entry in entries)))
        for heading, entries in groupby(COMMANDS.values(), key=lambda entry: entry.heading)
    )
    return f"""\
Will we run out of SMS, when, and who must act?

{bold("balancebot [--config FILE] COMMAND")}

{parts}

{bold("Options")}
  --config FILE  the configuration; else $BALANCEBOT_CONFIG, else ./balancebot.toml
  --version      which balancebot this is
  --help         this list; after a command, what it takes
  --install-completion
                 let the shell complete commands and options with Tab

Exit status: 0 done; 1 it ran and something failed; 2 usage or configuration."""
