"""Finds a command by its name, imports only its module, runs it, and returns the exit status."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from balancebot import __version__
from balancebot.cli import COMMANDS, overview
from balancebot.cli.context import CommandContext, CommandError, context_of
from balancebot.cli.output import show_error
from balancebot.domain.sentence import did_you_mean
from balancebot.store.errors import DatabaseError


class _LazyGroup(TyperGroup):
    """The commands of the table, each imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return ctx.fail(f"There is no command {cmd_name!r}{did_you_mean(cmd_name, COMMANDS)}")
        module, _, attribute = entry.place.partition(":")
        application: typer.Typer = getattr(import_module(f"{__package__}.{module}"), attribute)
        command = typer.main.get_command(application)
        command.name = cmd_name
        return command

    def get_help(self, ctx: Any) -> str:  # noqa: ARG002
        return overview()


root = typer.Typer(cls=_LazyGroup, add_completion=True, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"balancebot {__version__}")
        raise typer.Exit


@root.callback()
def _options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE")] = None,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version)] = False,  # noqa: ARG001 -- answered by its callback
) -> None:
    context_of(context).given_config = config


def run(words: Sequence[str]) -> int:
    """Run the command that `words` name; return its exit status."""
    command = typer.main.get_command(root)
    context = CommandContext()
    try:
        command.main(args=list(words), prog_name="balancebot", obj=context)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (CommandError, DatabaseError) as error:
        show_error(context.redact(str(error)))
        return error.status if isinstance(error, CommandError) else 1
    except Exception as error:
        database = context.opened_database
        blamed = None if database is None else database.blamed_for(error)
        if blamed is None:
            raise
        show_error(context.redact(str(blamed)))
        return 1
    return 0


def invoke(words: Sequence[str], context: CommandContext) -> int:
    """Run a command for another process; return its exit status, and raise the errors that `run` would print."""
    ended = typer.main.get_command(root).main(
        args=list(words), prog_name="balancebot", obj=context, standalone_mode=False
    )
    return ended if isinstance(ended, int) else 0
