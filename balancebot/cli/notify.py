"""`notify test`: sends one message to each default destination, to see whether it arrives."""

from collections.abc import Sequence
from typing import Annotated

import typer

from balancebot.app import App
from balancebot.cli.context import CommandError, RefusedError, command_group, context_of
from balancebot.cli.output import show
from balancebot.cli.poll import running
from balancebot.domain.audit import Actor
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.routing import Destination

commands = command_group()

_WAITS = "it waits in the outbox, since the destination takes nothing for now"


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
    with running(settings, command.database) as (app, _):
        failures = _send(app, asked or list(settings.routing.defaults), by=command.actor())
    if failures:
        raise CommandError(*failures)


def _send(app: App, channels: Sequence[str], *, by: Actor) -> list[str]:
    """Send to each default destination of `channels`, or to the channel's only one; return the failures."""
    wanted = [
        Destination(channel, address)
        for channel in channels
        for address in app.settings.channel_by_name[channel].own_destinations
    ]
    ids = app.operate_deliveries.send_test(*wanted, by=by)
    app.deliver_outbox.run()
    failures = []
    for (channel, address), delivery_id in zip(dict.fromkeys(wanted), ids, strict=True):
        delivery = app.operate_deliveries.end_test(delivery_id)
        if delivery is not None and delivery.state is DeliveryState.DELIVERED:
            show(f"{channel} {address}: sent")
        else:
            error = "" if delivery is None else str(delivery.error)
            failures.append(f"{channel} {address}: {error or _WAITS}")
    return failures
