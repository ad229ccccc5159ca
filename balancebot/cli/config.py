"""`init` writes a commented configuration to begin with; `config` lists all keys."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.config.reference import reference_markdown, reference_text, template

commands = command_group()
init_commands = command_group()


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


@init_commands.command()
def init(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="where to; default: where the configuration is looked for")
    ] = None,
) -> None:
    """Write a commented configuration; never overwrites."""

    path = file or context_of(context).config_path
    try:
        # readable by its owner alone: people write their secrets into it
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{path}: is there already, and was left as it is") from None
    except OSError as error:
        raise CommandError(f"{path}: can't be written: {error.strerror}") from None
    with open(written, "w", encoding="utf-8") as out:
        out.write(template())
    print(f"wrote {path}")
    print("Put in your account and its key pairs, then try it with: balancebot check")
