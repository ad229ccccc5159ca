"""Progress bars, on stderr and for people only: where nobody watches nothing is drawn."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from balancebot.cli.paint import is_coloured


@contextmanager
def share(task: str) -> Iterator[Callable[[float], None]]:
    """Show how much of `task` is done; what is yielded is told the share from 0 to 1."""
    with counted(task, 1.0) as tell:
        yield tell


@contextmanager
def counted(task: str, total: float | None) -> Iterator[Callable[[float], None]]:
    """Show how much of `total` is done (None: nobody knows); what is yielded is told the sum so far."""
    if not is_coloured(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        running = bar.add_task(task, total=total)
        yield lambda done: bar.update(running, completed=done)
