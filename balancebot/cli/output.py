"""How commands print: tables, colors, JSON, plurals, progress."""

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TextIO

from balancebot.domain.sentence import visible

if TYPE_CHECKING:
    from balancebot.domain.verdict import Severity


class Caller(NamedTuple):
    """Another process, for which the daemon runs a command."""

    printed: list[tuple[bool, str]]
    """What the command has printed: whether on stderr, and the text."""
    is_coloured: bool


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""None: this process's own command."""


def show(*values: object, sep: str = " ", end: str = "\n") -> None:
    """Print on the caller's stdout. Commands that a daemon answers print in no other way."""
    _write(sep.join(map(str, values)) + end, is_error=False)


def show_error(text: object) -> None:
    """Print a line on the caller's stderr."""
    _write(f"{text}\n", is_error=True)


def _write(text: str, *, is_error: bool) -> None:
    caller = CALLER.get()
    text = visible(text, colors=_use_colours())
    if caller is None:
        # at once: some commands print a line for each thing that they try
        print(text, end="", file=sys.stderr if is_error else sys.stdout, flush=True)
    else:
        caller.printed.append((is_error, text))


def json_instant(at: datetime | None) -> str | None:
    """Return an instant as text for JSON; None stays None."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def show_json(answer: object) -> None:
    """Print an answer as JSON, indented for human readers."""
    import json  # lazy: `--help` must be quick

    from msgspec import to_builtins  # lazy: the same

    show(json.dumps(to_builtins(answer), ensure_ascii=False, indent=2))


_CODES = re.compile(r"\x1b\[[0-9;]*m")
_OF_SEVERITY = {"unknown": "35", "ok": "32", "warning": "33", "critical": "31", "depleted": "1;31"}


def is_coloured(stream: TextIO) -> bool:
    """Return whether colours may be written to `stream` (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    """Return text in bold, as in headings."""
    return _coloured(text, "1")


def faint(text: str) -> str:
    """Return faint text."""
    return _coloured(text, "2")


def of_severity(text: str, severity: "Severity") -> str:
    """Return text in the colour of a severity."""
    return _coloured(text, _OF_SEVERITY[severity.word])


def colored_cells(text: str) -> int:
    """Return how many columns `text` takes: two for a wide character, none for combining marks and colours."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in _CODES.sub("", text)
    )


def _coloured(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if text and _use_colours() else text


def _use_colours() -> bool:
    caller = CALLER.get()
    return is_coloured(sys.stdout) if caller is None else caller.is_coloured


class Column(NamedTuple):
    """A heading, and whether its cells are numbers."""

    title: str
    is_number: bool = False


def text_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """Lay `rows` out under the headings: text on the left, numbers on the right."""
    lines = [[faint(column.title) for column in columns], *map(list, rows)]
    widths = [max(colored_cells(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  ".join(
            _padded(text, width, right=column.is_number)
            for text, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - colored_cells(text))
    return space + text if right else text + space


def plural(count: int, noun: str) -> str:
    """Return `1 wallet`, `1,200 wallets`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@contextmanager
def share(task: str) -> Iterator[Callable[[float], None]]:
    """Show the progress of `task`; call the yielded function with the part that is done, from 0 to 1."""
    with counted(task, 1.0) as tell:
        yield tell


@contextmanager
def counted(task: str, total: float | None) -> Iterator[Callable[[float], None]]:
    """Show the progress of `task` towards `total` (None: unknown); call the yielded function with the sum so far."""
    if not is_coloured(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console  # lazy: only a terminal shows progress
    from rich.progress import Progress  # lazy: the same

    with Progress(console=Console(stderr=True), transient=True) as bar:
        running = bar.add_task(task, total=total)
        yield lambda done: bar.update(running, completed=done)
