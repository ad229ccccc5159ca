"""What every command uses: configuration, database, app, parsers of arguments, and the errors that end a command."""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancebot.cli.ask_daemon import user_name
from balancebot.config import Settings, UnfitError, config_path, load
from balancebot.config.values import LONGEST, duration
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import Category
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import Sentence, clean_text
from balancebot.domain.threshold_cell import read_category
from balancebot.domain.user import MAX_USER_NAME
from balancebot.redact import Redactor
from balancebot.store.database import Database

if TYPE_CHECKING:
    from balancebot.app import App


class CommandContext:
    """One call of the program."""

    def __init__(self, *, app: "App | None" = None, user: str = "") -> None:
        """`app` and `user` are given if a daemon runs the command for another process: its app, that user."""
        self.given_config: Path | None = None
        """The file that `--config` names."""
        self._user = user
        if app is not None:
            self.app, self.settings, self.database, self.redact = app, app.settings, app.database, app.redact

    @property
    def config_path(self) -> Path:
        """The path of the configuration, whether or not the file exists."""
        return config_path(self.given_config, environ=os.environ)

    @cached_property
    def settings(self) -> Settings:
        """The configuration without its secrets, except the database's."""
        return self._load(resolve_secrets=False)

    @cached_property
    def settings_with_secrets(self) -> Settings:
        """The configuration with all secrets, for commands that fetch or send."""
        return self._load(resolve_secrets=True)

    @cached_property
    def database(self) -> Database:
        """The database, created or upgraded; raises `DatabaseError`."""
        database = Database(self.settings.database.url.reveal())
        database.upgrade()
        return database

    @property
    def opened_database(self) -> Database | None:
        """The database, if the command has used it."""
        return self.__dict__.get("database")

    @cached_property
    def redact(self) -> Redactor:
        """Hides every secret that this call has resolved, in log lines and in the last error message."""
        return Redactor.of(*(self.__dict__.get(name) for name in ("settings", "settings_with_secrets")))

    @cached_property
    def app(self) -> "App":
        """The app, for commands that neither fetch nor send: its settings contain no secret."""
        from balancebot.app import build_app  # lazy: `status` and other commands that only read do without it

        return build_app(self.settings, self.database)

    def actor(self, via: Via | None = None) -> Actor:
        """Return the user who calls the program, for the audit log; `via` is the command line by default."""
        who = clean_text(self._user or user_name(), at_most=MAX_USER_NAME)
        return Actor(name=who, via=via or Via.CLI)

    def _load(self, *, resolve_secrets: bool) -> Settings:
        loaded = load(self.config_path, environ=os.environ, resolve_secrets=resolve_secrets)
        if isinstance(loaded, tuple):
            raise RefusedError(*map(str, loaded))
        return loaded


def context_of(context: typer.Context) -> CommandContext:
    """Return the context of the running command."""
    command: CommandContext = context.find_object(CommandContext)  # type: ignore[assignment]
    return command


def command_group() -> typer.Typer:
    """Return a new typer application with plain help and plain errors, for a command's module to fill."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


def read_length(option: str, text: str, *, at_most: timedelta = LONGEST) -> timedelta:
    """Read a length of time such as `30m`, `4h` or `2d`; at least a second."""
    try:
        return duration(at_least=timedelta(seconds=1), at_most=at_most)(text)
    except UnfitError as error:
        raise typer.BadParameter(f"{option} {error}") from None


def read_pattern(text: str) -> Pattern:
    """Read a pattern of balances such as `acme/*:market`."""
    pattern = Pattern.parse(text)
    if isinstance(pattern, Sentence):
        raise typer.BadParameter(f"PATTERN {pattern}")
    return pattern


def read_one_category(text: str) -> Category:
    """Read the name of one category, in English or Chinese."""
    category = read_category(text)
    if isinstance(category, Sentence):
        raise typer.BadParameter(f"CATEGORY {category}")
    if category is None:
        raise typer.BadParameter("CATEGORY must be one category, not *")
    return category


class CommandError(Exception):
    """An expected failure of a command; `str()` of it goes to stderr."""

    def __init__(self, *lines: str, status: int = 1) -> None:
        super().__init__("\n".join(lines))
        self.status = status


class RefusedError(CommandError):
    """Wrong usage or a faulty configuration: nothing was done."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines, status=2)


def write_file(file: Path, content: Callable[[], bytes]) -> None:
    """Write the output of a command to a file, and report it on stderr."""
    data = content()
    try:
        file.write_bytes(data)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    typer.echo(f"wrote {file}", err=True)
