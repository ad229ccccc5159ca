"""Past readings written as lines of CSV."""

from collections.abc import Iterable, Iterator
from io import BytesIO

from balancebot.history.files import open_history
from balancebot.sheets import InputFault, SheetRow


def sheet_of(lines: Iterable[str]) -> Iterator[SheetRow | InputFault]:
    """Read the lines of a CSV file with a header."""
    return open_history(BytesIO("\n".join(line.rstrip("\n") for line in lines).encode()))
