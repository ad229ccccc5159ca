"""`init`: a commented configuration to begin with."""

import os
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.config.reference import template

commands = command_group()


@commands.command()
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
