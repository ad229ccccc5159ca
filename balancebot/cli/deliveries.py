"""`deliveries`: lists deliveries that wait or were given up, and sends them again."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from balancebot.cli.context import CommandError, command_group, context_of
from balancebot.cli.output import Column, json_instant, show, show_json, text_table
from balancebot.clock import SystemClock
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.local_time import local_time
from balancebot.notify.resend import OperateDeliveries
from balancebot.store.delivery_list import Delivery

commands = command_group()


@commands.callback()
def deliveries() -> None:
    """Show what waits or never arrived; send it again."""


@commands.command("list")
def list_deliveries(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="delivered ones, too")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show what waits to be sent and what was given up, the newest first."""
    found = _operating(context).listed(every=every)
    if as_json:
        show_json({"deliveries": [_as_json(delivery) for delivery in found]})
        return
    if not found:
        show("Nothing was ever sent." if every else "Nothing waits, and nothing was given up.")
        return
    zone = context_of(context).settings.timezone
    titles = ("id", "to", "about", "created", "state", "attempts", "error")
    show(
        text_table(
            [Column(title, is_number=title == "attempts") for title in titles],
            [_row(delivery, zone) for delivery in found],
        )
    )


@commands.command(no_args_is_help=True)
def resend(context: typer.Context, delivery_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Make a delivery that was given up, or waits, due for the next `run` or `poll`."""
    match _operating(context).resend(delivery_id, by=context_of(context).actor()):
        case None:
            raise CommandError(f"no delivery has the id {delivery_id}")
        case DeliveryState.SENDING:
            raise CommandError(f"delivery {delivery_id} is being sent at this moment")
        case DeliveryState.DELIVERED:
            raise CommandError(f"delivery {delivery_id} has arrived; it isn't sent twice")
        case DeliveryState.SUPERSEDED:
            raise CommandError(f"another delivery replaces {delivery_id}")
        case DeliveryState.PENDING | DeliveryState.GAVE_UP:
            show(f"delivery {delivery_id} is sent by the next run or poll")


def _operating(context: typer.Context) -> OperateDeliveries:
    return OperateDeliveries(database=context_of(context).database, clock=SystemClock())


def _row(delivery: Delivery, zone: ZoneInfo) -> tuple[str, ...]:
    state = delivery.state.replace("_", " ")
    return (
        delivery.id,
        f"{delivery.channel} {delivery.destination}",
        _subject(delivery),
        f"{local_time(delivery.created_at, zone):%Y-%m-%d %H:%M}",
        f"{state} (in doubt)" if delivery.in_doubt else state,
        str(delivery.num_attempts),
        str(delivery.error),
    )


def _subject(delivery: Delivery) -> str:
    what = delivery.reason or delivery.action
    return what.value if delivery.alert_id is None else f"alert {delivery.alert_id} {what.value}"


def _as_json(delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.id,
        "channel": delivery.channel,
        "destination": delivery.destination,
        "action": delivery.action,
        "reason": delivery.reason,
        "alert": delivery.alert_id,
        "created_at": json_instant(delivery.created_at),
        "state": delivery.state,
        "in_doubt": delivery.in_doubt,
        "attempts": delivery.num_attempts,
        "next_attempt_at": json_instant(delivery.next_attempt_at),
        "settled_at": json_instant(delivery.settled_at),
        "error": str(delivery.error) or None,
        "superseded_by": delivery.superseded_by,
    }
