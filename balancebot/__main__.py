"""`balancebot`, and `python -m balancebot`: SIGTERM can end `run` before anything is imported."""

import os
import signal
import sys


def main() -> int:
    """Run the command line and return its exit status."""
    if "run" in sys.argv:
        # SIGTERM doesn't end the first process of a container unless it has a handler. This handler is enough as long as
        # nothing runs that must be stopped in order; the daemon replaces it with its own.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from balancebot.cli import main  # lazy: the handler must be set first

    return main()


if __name__ == "__main__":
    raise SystemExit(main())
