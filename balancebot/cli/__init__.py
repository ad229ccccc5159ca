"""The command line: one file per group of commands, and nothing imported before it is known which one is meant.

Exit status: 0 done; 1 it ran and something failed; 2 usage or configuration. What is expected to fail is told in
lines, never as a traceback.
"""

import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `words` default to the process's arguments."""
    words = sys.argv[1:] if words is None else words
    if list(words) in (["--help"], ["-h"], []):
        from balancebot.cli.overview import overview

        print(overview())
        return 0 if words else 2

    from balancebot.cli.root import run

    return run(words)
