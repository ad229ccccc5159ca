"""`config`: the reference of all keys of the configuration."""

from enum import StrEnum
from typing import Annotated

import typer

from balancebot.cli.context import command_group
from balancebot.config.reference import reference_markdown, reference_text

commands = command_group()


class ReferenceFormat(StrEnum):
    """How the reference is written."""

    TEXT = "text"
    MD = "md"


@commands.callback()
def config() -> None:
    """List the keys of the configuration."""


@commands.command()
def reference(
    form: Annotated[
        ReferenceFormat, typer.Option("--format", help="for a terminal, or Markdown")
    ] = ReferenceFormat.TEXT,
) -> None:
    """List every key with its type, default and meaning."""
    match form:
        case ReferenceFormat.TEXT:
            print(reference_text(), end="")
        case ReferenceFormat.MD:
            print(reference_markdown(), end="")
