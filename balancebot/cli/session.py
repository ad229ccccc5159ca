"""What a command works with: its configuration and its database, each opened when first asked for, or a refusal."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancebot.cli.errors import RefusedError

if TYPE_CHECKING:
    from balancebot.domain.audit import Actor, Way
    from balancebot.settings import Settings
    from balancebot.storage.database import Database


class Session:
    """One call of the program."""

    def __init__(self, config: Path | None) -> None:
        self._config = config

    @property
    def config_path(self) -> Path:
        """Where the configuration is, or would be."""
        from balancebot.settings import config_path

        return config_path(self._config, environ=os.environ)

    @cached_property
    def settings(self) -> "Settings":
        """The configuration without its secrets, but the database's."""
        return self._load(resolve_secrets=False)

    @cached_property
    def settings_with_secrets(self) -> "Settings":
        """The configuration with every secret resolved: for commands that ask or send."""
        return self._load(resolve_secrets=True)

    @cached_property
    def database(self) -> "Database":
        """The database, made or brought up to date; raises `DatabaseError`."""
        from balancebot.storage.database import Database

        database = Database(self.settings.database.url.reveal())
        database.upgrade()
        return database

    def actor(self, way: "Way | None" = None) -> "Actor":
        """Return who calls the program, for the audit log; `way` defaults to the command line."""
        import getpass

        from balancebot.domain.audit import Actor, Way

        try:
            who = getpass.getuser()
        except (KeyError, OSError):  # a container may run as a number that has no name
            who = f"uid {os.getuid()}"
        return Actor(who=who, way=way or Way.CLI)

    def _load(self, *, resolve_secrets: bool) -> "Settings":
        from balancebot.settings import load

        loaded = load(self.config_path, environ=os.environ, resolve_secrets=resolve_secrets)
        if isinstance(loaded, tuple):
            raise RefusedError(*map(str, loaded))
        return loaded


def session_of(context: typer.Context) -> Session:
    """Return the session that the program's own options have made."""
    session: Session = context.find_object(Session)  # type: ignore[assignment]
    return session


def application() -> typer.Typer:
    """Return a fresh typer application as every command's module fills one: plain help, plain errors."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
