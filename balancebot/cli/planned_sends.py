"""`plans`: sends that people announce, because no balance shows them yet."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from balancebot.catalogue import number
from balancebot.cli.context import CommandError, command_group, context_of, read_length, read_one_category
from balancebot.cli.output import Column, json_instant, show, show_json, text_table
from balancebot.domain.balance import BalanceKey, WalletName
from balancebot.domain.local_time import local_time, read_instant
from balancebot.domain.number_text import read_quantity
from balancebot.domain.sentence import Sentence
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.store.planned_sends import PlannedSend

commands = command_group()

_COLUMNS = (
    Column("id"),
    Column("balance"),
    Column("messages", is_number=True),
    Column("from"),
    Column("to"),
    Column("by"),
    Column("note"),
)


@commands.callback()
def plans() -> None:
    """Announce sends that no balance shows yet."""


@commands.command(no_args_is_help=True)
def add(
    context: typer.Context,
    wallet: Annotated[str, typer.Argument(metavar="WALLET")],
    category: Annotated[str, typer.Argument(metavar="CATEGORY", help="universal, voice, industry or market")],
    messages: Annotated[str, typer.Option("--messages", metavar="N", help="how many will be sent")],
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="TIME", help="such as 2026-12-01T20:00, in the configured zone unless with offset"
        ),
    ],
    over: Annotated[
        str, typer.Option("--over", metavar="LENGTH", help="how long it takes to send them, such as 2h")
    ],
    note: Annotated[str, typer.Option("--note", help="a description for messages")] = "",
) -> None:
    """Announce a send: it counts in runways, is named in messages, and isn't a usage spike."""

    zone = context_of(context).settings.timezone
    starts_at = read_instant(at, zone, now=context_of(context).app.clock.now())
    if isinstance(starts_at, Sentence):
        raise typer.BadParameter(f"--at {starts_at}")
    made = _announcing(context).announce(
        BalanceKey(WalletName(wallet), read_one_category(category)),
        messages=_count(messages),
        starts_at=starts_at,
        over=read_length("--over", over),
        note=note,
        by=context_of(context).actor(),
    )
    if isinstance(made, Sentence):
        raise CommandError(str(made))
    show(f"plan {made.id}: {_about(made, zone)}; it counts from now on")


@commands.command("list")
def list_plans(context: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show the sends that haven't ended, the next first."""
    found = _announcing(context).standing()
    if as_json:
        show_json({"plans": [_as_json(plan) for plan in found]})
        return
    if not found:
        show("No send is announced.")
        return
    zone = context_of(context).settings.timezone
    show(text_table(_COLUMNS, [_row(plan, zone) for plan in found]))


@commands.command(no_args_is_help=True)
def remove(context: typer.Context, plan_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Remove a planned send."""
    removed = _announcing(context).take_back(plan_id, by=context_of(context).actor())
    if removed is None:
        raise CommandError(f"no plan has the id {plan_id}")
    show(f"removed plan {plan_id}: {_about(removed, context_of(context).settings.timezone)}")


def _announcing(context: typer.Context) -> PlannedSends:
    return context_of(context).app.planned_sends


def _count(text: str) -> int:
    count = read_quantity(text)
    if isinstance(count, Sentence):
        raise typer.BadParameter(f"--messages {count}")
    return count


def _about(plan: PlannedSend, zone: ZoneInfo) -> str:
    starts_at, ends_at = (local_time(at, zone) for at in (plan.starts_at, plan.ends_at))
    end = f"{ends_at:%H:%M}" if starts_at.date() == ends_at.date() else f"{ends_at:%Y-%m-%d %H:%M}"
    return f"{number(plan.messages)} messages of {plan.balance}, {starts_at:%Y-%m-%d %H:%M} to {end} {zone}"


def _row(plan: PlannedSend, zone: ZoneInfo) -> tuple[str, ...]:
    return (
        plan.id,
        str(plan.balance),
        number(plan.messages),
        f"{local_time(plan.starts_at, zone):%Y-%m-%d %H:%M}",
        f"{local_time(plan.ends_at, zone):%Y-%m-%d %H:%M}",
        plan.created_by,
        plan.note.replace("\n", " / "),
    )


def _as_json(plan: PlannedSend) -> dict[str, object]:
    return {
        "id": plan.id,
        "wallet": plan.balance.wallet,
        "category": plan.balance.category,
        "messages": plan.messages,
        "starts_at": json_instant(plan.starts_at),
        "ends_at": json_instant(plan.ends_at),
        "note": plan.note,
        "created_by": plan.created_by,
        "created_at": json_instant(plan.created_at),
    }
