"""`users`: who may log in to the pages. The password is asked for or read from stdin; it is never an argument."""

import sys
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.cli.output import Column, json_instant, show, show_json, text_table
from balancebot.clock import SystemClock
from balancebot.domain.local_time import local_time
from balancebot.domain.user import Role
from balancebot.people import users
from balancebot.people.users import UserFault, add_user, remove_user, set_password, set_role

commands = command_group()

_Name = Annotated[str, typer.Argument(metavar="NAME")]


@commands.callback()
def user_commands() -> None:
    """Manage the users of the web pages."""


@commands.command(no_args_is_help=True)
def add(
    context: typer.Context,
    name: _Name,
    role: Annotated[Role, typer.Option("--role", help="viewer reads; finance edits; admin everything")],
) -> None:
    """Add a user; the password is asked for, or read from stdin."""

    command = context_of(context)
    database = command.database
    _settle(
        add_user(
            database, name=name, role=role, password=_password(), by=command.actor(), now=SystemClock().now()
        )
    )
    show(f"added {name} as {role}")


@commands.command(no_args_is_help=True)
def passwd(context: typer.Context, name: _Name) -> None:
    """Set a user's password, and log the user out everywhere."""
    command = context_of(context)
    database = command.database
    _settle(
        set_password(database, name=name, password=_password(), by=command.actor(), now=SystemClock().now())
    )
    show(f"changed the password of {name}")


@commands.command(no_args_is_help=True)
def role(context: typer.Context, name: _Name, role: Annotated[Role, typer.Argument(metavar="ROLE")]) -> None:
    """Change a user's role."""
    command = context_of(context)
    _settle(set_role(command.database, name=name, role=role, by=command.actor(), now=SystemClock().now()))
    show(f"{name} is {role} now")


@commands.command("list")
def list_users(context: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show all users."""
    command = context_of(context)
    found = users.list_users(command.database)
    if as_json:
        show_json(
            {
                "users": [
                    {"name": u.name, "role": u.role, "created_at": json_instant(u.created_at)} for u in found
                ]
            }
        )
        return
    if not found:
        show("Nobody can log in yet: balancebot users add NAME --role admin")
        return
    zone = command.settings.timezone
    show(
        text_table(
            [Column(title) for title in ("name", "role", "since")],
            [
                (user.name, user.role.value, f"{local_time(user.created_at, zone):%Y-%m-%d %H:%M}")
                for user in found
            ],
        )
    )


@commands.command(no_args_is_help=True)
def remove(context: typer.Context, name: _Name) -> None:
    """Remove a user and end the user's sessions."""
    command = context_of(context)
    _settle(remove_user(command.database, name=name, by=command.actor(), now=SystemClock().now()))
    show(f"removed {name}")


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")


def _settle(fault: UserFault | None) -> None:
    if fault is not None:
        raise CommandError(fault.value)
