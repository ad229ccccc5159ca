"""Aligned columns of text. Nothing is cut and nothing is wrapped, so that a script may read what a person reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from balancebot.cli.paint import cells, faint


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and on which side its cells stand."""

    title: str
    is_number: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """Lay `rows` out under the headings: text to the left, numbers to the right."""
    lines = [[faint(column.title) for column in columns], *map(list, rows)]
    widths = [max(cells(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "  ".join(
            _padded(text, width, right=column.is_number)
            for text, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - cells(text))
    return space + text if right else text + space
