"""The command line: one file per group of commands, and nothing imported before it is known which one is meant.

Exit status: 0 done; 1 it ran and something failed; 2 usage or configuration. What is expected to fail is told in
lines, never as a traceback.
"""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `words` default to the process's arguments."""
    if isinstance(sys.stdout, TextIOWrapper):
        # a wallet's name may have letters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = _run(sys.argv[1:] if words is None else words)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read along has seen enough
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        print(f"can't go on: {error.strerror or error}", file=sys.stderr)
        return 1
    return status


def _run(words: Sequence[str]) -> int:
    if list(words) in (["--help"], ["-h"], []):
        from balancebot.cli.overview import overview

        print(overview())
        return 0 if words else 2

    from balancebot.cli.root import run

    return run(words)


def _drop_output() -> None:
    """Let what can't be written any more go nowhere, or the interpreter would complain of it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # a stand-in that is no file
        return
