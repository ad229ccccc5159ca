"""`digest`: sends or previews a scheduled summary now."""

from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandContext, CommandError, RefusedError, command_group, context_of
from balancebot.cli.output import show
from balancebot.cli.poll import running, undelivered
from balancebot.domain.sentence import did_you_mean

commands = command_group()

_Name = Annotated[str, typer.Argument(metavar="NAME", help="as in [[digests]]")]


@commands.callback()
def digest() -> None:
    """Send a digest now, or look at it."""


@commands.command(no_args_is_help=True)
def send(context: typer.Context, name: _Name) -> None:
    """Send a digest now, whatever its schedule."""
    command = context_of(context)
    _check_name(command, name)
    with running(command.settings_with_secrets, command.database) as (app, reporter):
        app.send_digest.send(name)
        delivered = app.deliver_outbox.run()
        reporter.delivered(delivered)
    for attempt in delivered.attempts:
        show(f"{attempt.channel} {attempt.destination}: {attempt.outcome}")
    if waiting := undelivered(delivered):
        raise CommandError(*waiting)


@commands.command(no_args_is_help=True)
def preview(
    context: typer.Context,
    name: _Name,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="write it as an HTML page")
    ] = None,
) -> None:
    """Show what a digest would say now; nothing is sent."""

    command = context_of(context)
    _check_name(command, name)
    app = command.app
    digest = app.send_digest.preview(name)
    if digest is None:
        raise CommandError(f"there is no digest {name}")
    if html is None:
        show(app.digest_text(digest))
        return
    try:
        html.write_text(app.digest_page(digest), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{html}: can't be written: {error.strerror}") from None
    show(f"wrote {html}")


def _check_name(command: CommandContext, name: str) -> None:
    """Refuse the name of a digest that isn't configured, and suggest the most similar one."""
    names = [digest.name for digest in command.settings.digests]
    if name not in names:
        raise RefusedError(f"{command.settings.path}: there is no digest {name!r}{did_you_mean(name, names)}")
