"""What people write after a command, read: a word that can't be is a wrong use of the program."""

from datetime import timedelta
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from balancebot.domain.balance import Category
    from balancebot.domain.pattern import Pattern


def read_length(option: str, text: str) -> timedelta:
    """Read a length of time such as `30m`, `4h` or `2d`; at least a second."""
    from balancebot.settings.kinds import duration
    from balancebot.settings.table import UnfitError

    try:
        return duration(at_least=timedelta(seconds=1))(text)
    except UnfitError as error:
        raise typer.BadParameter(f"{option} {error}") from None


def read_pattern(text: str) -> "Pattern":
    """Read a pattern of balances such as `acme/*:market`."""
    from balancebot.domain.pattern import Pattern

    pattern = Pattern.parse(text)
    if isinstance(pattern, str):
        raise typer.BadParameter(f"PATTERN {pattern}")
    return pattern


def read_one_category(text: str) -> "Category":
    """Read the name of one category, in English or Chinese."""
    from balancebot.domain.threshold_cell import CellFault, read_category

    category = read_category(text)
    if isinstance(category, CellFault):
        raise typer.BadParameter(f"CATEGORY {category.message}")
    if category is None:
        raise typer.BadParameter("CATEGORY must be one category, not *")
    return category
