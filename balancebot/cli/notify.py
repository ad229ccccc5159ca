"""`notify test`: sends one message to each default destination, to see whether it arrives."""

import uuid
from collections.abc import Sequence
from typing import Annotated

import typer

from balancebot.app import App, build_app
from balancebot.cli.context import CommandError, RefusedError, command_group, context_of
from balancebot.domain.message import Action, OutgoingMessage, TestMessage
from balancebot.domain.routing import Destination
from balancebot.ports import ChannelError

commands = command_group()


@commands.callback()
def notify() -> None:
    """Send a test message to each channel."""


@commands.command("test")
def send_test(
    context: typer.Context,
    slack: Annotated[bool, typer.Option("--slack", help="only to Slack")] = False,
    email: Annotated[bool, typer.Option("--email", help="only by e-mail")] = False,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="NAME", help="only to this channel; may be repeated"),
    ] = None,
) -> None:
    """Send one test message to each channel; with --slack, --email or --channel only there."""
    command = context_of(context)
    settings = command.settings_with_secrets
    names = (*(["slack"] if slack else []), *(["email"] if email else []), *(channel or []))
    asked = list(dict.fromkeys(names))
    for name in asked:
        if name not in settings.routing.defaults:
            known = ", ".join(settings.routing.defaults) or "none"
            raise RefusedError(f"{settings.path}: no channel {name} is configured (configured: {known})")
    if not settings.routing.defaults:
        raise RefusedError(f"{settings.path}: neither [slack] nor [email] is configured")
    app = build_app(settings, command.database)
    try:
        failures = _send(app, asked or list(settings.routing.defaults))
    finally:
        app.close()
    if failures:
        raise CommandError(*failures)


def _send(app: App, channels: Sequence[str]) -> list[str]:
    """Send to each default destination of `channels`, or the one that a channel has; return what failed."""
    failures = []
    for channel in channels:
        for destination in app.settings.channel_by_name[channel].own_destinations:
            now = app.clock.now()
            outgoing = OutgoingMessage(
                delivery_id=uuid.uuid4().hex,
                alert_id="",
                action=Action.POST,
                destination=Destination(channel, destination),
                message=TestMessage(at=now),
                created_at=now,
            )
            answer = app.channels[channel].send(outgoing, holds_claim=lambda: True)
            if isinstance(answer, ChannelError):
                failures.append(f"{channel} {destination}: {answer.message}")
            else:
                print(f"{channel} {destination}: sent")
    return failures
