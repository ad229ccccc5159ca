"""`balancebot`, and `python -m balancebot`: before anything is imported, `run` can be ended by SIGTERM."""

import os
import signal
import sys


def main() -> int:
    """Run the command line and return its exit status."""
    if "run" in sys.argv:
        # The first process of a container is not ended by SIGTERM unless it has a handler. This one holds while nothing
        # has begun that would have to be ended in order; the daemon puts its own in the place.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from balancebot.cli import main  # lazy: the handler comes first

    return main()


if __name__ == "__main__":
    raise SystemExit(main())
