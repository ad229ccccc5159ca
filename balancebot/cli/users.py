"""`users`: who may log in to the pages. A password is asked for, or read from stdin; it is never an argument."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from balancebot.cli.context import CommandError, application, context_of
from balancebot.cli.output import Column, json_instant, show_json, text_table
from balancebot.domain.user import Role

if TYPE_CHECKING:
    from balancebot.people.users import UserFault

app = application()

_Name = Annotated[str, typer.Argument(metavar="NAME")]


@app.callback()
def users() -> None:
    """Keep the log-ins of the web pages."""


@app.command(no_args_is_help=True)
def add(
    context: typer.Context,
    name: _Name,
    role: Annotated[Role, typer.Option("--role", help="viewer reads; finance edits; admin everything")],
) -> None:
    """Add a user; the password is asked for, or read from stdin."""
    from balancebot.clock import SystemClock
    from balancebot.people.users import add_user

    session = context_of(context)
    database = session.database
    _settle(
        add_user(
            database, name=name, role=role, password=_password(), by=session.actor(), now=SystemClock().now()
        )
    )
    print(f"added {name} as {role}")


@app.command(no_args_is_help=True)
def passwd(context: typer.Context, name: _Name) -> None:
    """Give a user a new password, and log the user out everywhere."""
    from balancebot.clock import SystemClock
    from balancebot.people.users import set_password

    session = context_of(context)
    database = session.database
    _settle(
        set_password(database, name=name, password=_password(), by=session.actor(), now=SystemClock().now())
    )
    print(f"changed the password of {name}")


@app.command(no_args_is_help=True)
def role(context: typer.Context, name: _Name, role: Annotated[Role, typer.Argument(metavar="ROLE")]) -> None:
    """Give a user another role."""
    from balancebot.clock import SystemClock
    from balancebot.people.users import set_role

    session = context_of(context)
    _settle(set_role(session.database, name=name, role=role, by=session.actor(), now=SystemClock().now()))
    print(f"{name} is {role} now")


@app.command("list")
def list_users(context: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show all users."""
    from balancebot.people import users

    session = context_of(context)
    found = users.list_users(session.database)
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
        print("Nobody can log in yet: balancebot users add NAME --role admin")
        return
    zone = session.settings.timezone
    print(
        text_table(
            [Column(title) for title in ("name", "role", "since")],
            [
                (user.name, user.role.value, f"{user.created_at.astimezone(zone):%Y-%m-%d %H:%M}")
                for user in found
            ],
        )
    )


@app.command(no_args_is_help=True)
def remove(context: typer.Context, name: _Name) -> None:
    """Remove a user and end the user's sessions."""
    from balancebot.clock import SystemClock
    from balancebot.people.users import remove_user

    session = context_of(context)
    _settle(remove_user(session.database, name=name, by=session.actor(), now=SystemClock().now()))
    print(f"removed {name}")


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")


def _settle(fault: "UserFault | None") -> None:
    if fault is not None:
        raise CommandError(fault.value)
