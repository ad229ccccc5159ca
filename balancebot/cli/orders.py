"""`orders`: purchases that finance has made. Top-ups are matched to them, the oldest order first."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from balancebot.catalogue import number
from balancebot.cli.context import CommandError, command_group, context_of, read_one_category
from balancebot.cli.output import Column, show, show_json, text_table
from balancebot.domain.balance import BalanceKey, WalletName
from balancebot.domain.local_time import read_day_end
from balancebot.domain.number_text import read_quantity
from balancebot.domain.order import Order
from balancebot.domain.sentence import Sentence
from balancebot.i18n import Wording
from balancebot.orders.orders import OperateOrders, order_document, read_price

commands = command_group()

_COLUMNS = (
    Column("id"),
    Column("balance"),
    Column("state"),
    Column("ordered", is_number=True),
    Column("arrived", is_number=True),
    Column("expected"),
    Column("by"),
    Column("reference"),
    Column("note"),
)


@commands.callback()
def orders() -> None:
    """Record purchases, and see how much has arrived."""


@commands.command(no_args_is_help=True)
def add(
    context: typer.Context,
    wallet: Annotated[str, typer.Argument(metavar="WALLET", help="acme or acme/checkout")],
    category: Annotated[str, typer.Argument(metavar="CATEGORY", help="universal, voice, industry or market")],
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="messages: 60000, 60k or 6万")],
    expected: Annotated[
        str, typer.Option("--expected", metavar="DATE", help="when it should arrive: 2026-12-01")
    ],
    price: Annotated[str, typer.Option("--price", metavar="TOTAL", help="the total price")] = "",
    reference: Annotated[
        str, typer.Option("--ref", metavar="TEXT", help="a purchase or invoice number")
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT")] = "",
) -> None:
    """Record a purchase: the order advice counts it, and it is overdue when it hasn't arrived by the date."""
    zone = context_of(context).settings.timezone
    messages = read_quantity(quantity)
    if isinstance(messages, Sentence):
        raise typer.BadParameter(f"QUANTITY {messages}")
    by = read_day_end(expected, zone, now=context_of(context).app.clock.now())
    if isinstance(by, Sentence):
        raise typer.BadParameter(f"--expected {by}")
    total = read_price(price) if price else None
    if isinstance(total, Sentence):
        raise typer.BadParameter(f"--price {total}")
    made = _orders(context).add(
        BalanceKey(WalletName(wallet), read_one_category(category)),
        quantity=messages,
        expected_at=by,
        price=total,
        reference=reference,
        note=note,
        by=context_of(context).actor(),
    )
    if isinstance(made, Sentence):
        raise CommandError(str(made))
    show(f"order {made.id}: {_about(made, zone)}")


@commands.command("list")
def list_orders(context: typer.Context, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show the orders, the latest first."""
    command = context_of(context)
    found = _orders(context).listed()
    now = command.app.clock.now()
    if as_json:
        settings = command.settings.orders
        show_json(
            {
                "orders": [
                    order_document(order, prices=settings.prices, currency=settings.currency, now=now)
                    for order in found
                ]
            }
        )
    elif found:
        show(text_table(_COLUMNS, [_row(order, command.settings.timezone, now) for order in found]))
    else:
        show("No order is recorded.")


@commands.command(no_args_is_help=True)
def cancel(context: typer.Context, order_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Stop expecting the rest of an order; top-ups that have arrived stay matched to it."""
    cancelled = _orders(context).cancel(order_id, by=context_of(context).actor())
    if cancelled is None:
        raise CommandError(f"no open order has the id {order_id}")
    show(f"cancelled order {order_id}: {_about(cancelled, context_of(context).settings.timezone)}")


def _orders(context: typer.Context) -> OperateOrders:
    return context_of(context).app.operate_orders


def _about(order: Order, zone: ZoneInfo) -> str:
    balance = BalanceKey(order.wallet, order.category)
    return f"{number(order.quantity)} messages of {balance}, expected by {order.expected_at.astimezone(zone):%Y-%m-%d}"


def _row(order: Order, zone: ZoneInfo, now: datetime) -> tuple[str, ...]:
    return (
        order.id,
        str(BalanceKey(order.wallet, order.category)),
        Wording(zone=zone).order_state(order.state(now)),
        number(order.quantity),
        number(order.arrived),
        f"{order.expected_at.astimezone(zone):%Y-%m-%d}",
        order.ordered_by,
        order.reference,
        order.note.replace("\n", " / "),
    )
