"""The command line: one file per group of commands, and nothing imported before it is known which one is meant.

Exit status: 0 done; 1 it ran and something failed; 2 usage or configuration. What is expected to fail is told in
lines, never as a traceback.
"""

import os
import sys
from collections.abc import Sequence

from balancebot.cli.process import decoded_arguments, drop_output, prepare_streams, skip_startup_gc


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `words` default to the process's arguments."""
    skip_startup_gc()
    prepare_streams()
    # the database holds password hashes, exports hold balances: for nobody else on the machine to read
    os.umask(0o077)
    try:
        status = _run(sys.argv[1:] if words is None else words)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read along has seen enough
        drop_output()
        return 1
    except OSError as error:
        drop_output()
        print(f"can't go on: {error.strerror or error}", file=sys.stderr)
        return 1
    return status


def _run(given: Sequence[str]) -> int:
    words = decoded_arguments(given)
    if words is None:
        print("the words after balancebot must be UTF-8", file=sys.stderr)
        return 2
    if words in (["--help"], ["-h"], []):
        from balancebot.cli.overview import overview

        print(overview())
        return 0 if words else 2

    from balancebot.cli.root import run

    return run(words)
