"""`tokens`: makes and removes tokens for the API. A token is printed once, when it is made."""

from datetime import datetime
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, command_group, context_of, read_length
from balancebot.cli.output import Column, json_instant, show, show_json, text_table
from balancebot.clock import SystemClock
from balancebot.domain.user import ApiToken, Role
from balancebot.people import tokens as people

commands = command_group()

_Name = Annotated[str, typer.Argument(metavar="NAME", help="what the audit log calls it")]


@commands.callback()
def tokens() -> None:
    """Manage the tokens of programs that use the API."""


@commands.command(no_args_is_help=True)
def add(
    context: typer.Context,
    name: _Name,
    role: Annotated[
        str, typer.Option("--role", metavar="viewer|finance", help="viewer reads; finance also edits")
    ],
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="such as 90d; default: never")
    ] = None,
) -> None:
    """Make a token and print it; it can't be shown again."""
    command = context_of(context)
    now = SystemClock().now()
    expires_at = None if expires is None else now + read_length("--expires", expires)
    made = people.add_token(
        command.database,
        name=name,
        role=_role(role),
        expires_at=expires_at,
        by=command.actor(),
        now=now,
    )
    if isinstance(made, people.TokenFault):
        raise CommandError(made.value)
    show(made.reveal())


@commands.command("list")
def list_tokens(context: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show all tokens, without their secrets."""
    command = context_of(context)
    now = SystemClock().now()
    found = people.list_tokens(command.database)
    if as_json:
        show_json({"tokens": [_as_json(token, now) for token in found]})
        return
    if not found:
        show("There is no token yet: balancebot tokens add NAME --role viewer")
        return
    zone = command.settings.timezone

    def local(at: datetime | None, otherwise: str) -> str:
        return otherwise if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    show(
        text_table(
            [Column(title) for title in ("name", "role", "made", "by", "expires", "last used")],
            [
                (
                    token.name,
                    token.role.value,
                    local(token.created_at, ""),
                    token.created_by,
                    local(token.expires_at, "never") if token.holds(now) else "expired",
                    local(token.used_at, "never"),
                )
                for token in found
            ],
        )
    )


@commands.command(no_args_is_help=True)
def remove(context: typer.Context, name: _Name) -> None:
    """Remove a token: it is refused from now on."""
    command = context_of(context)
    fault = people.remove_token(command.database, name=name, by=command.actor(), now=SystemClock().now())
    if fault is not None:
        raise CommandError(fault.value)
    show(f"removed {name}")


def _role(text: str) -> Role:
    for role in people.ROLES:
        if role.value == text:
            return role
    raise typer.BadParameter(f"--role must be viewer or finance, not {text!r}")


def _as_json(token: ApiToken, now: datetime) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "created_at": json_instant(token.created_at),
        "created_by": token.created_by,
        "expires_at": json_instant(token.expires_at),
        "expired": not token.holds(now),
        "used_at": json_instant(token.used_at),
    }
