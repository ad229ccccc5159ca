"""`advise`: how much to buy and by when, so that quota lasts to a date with a stated probability."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from balancebot.catalogue import number
from balancebot.cli.context import CommandContext, RefusedError, command_group, context_of, read_pattern
from balancebot.cli.output import Column, bold, faint, json_instant, show_json, text_table
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.local_time import read_day_end
from balancebot.domain.sentence import Sentence
from balancebot.estimates.context import ORDER_FOR
from balancebot.i18n import Wording
from balancebot.overview.orders import AdviceRow, advice_rows, totals

commands = command_group()

_COLUMNS = (
    Column("balance"),
    Column("left", is_number=True),
    Column("burn a day", is_number=True),
    Column("runway"),
    Column("lead time", is_number=True),
    Column("order"),
)
_LEAST, _MOST = 0.5, 0.99
_FARTHEST_DAYS = 365


@commands.command(no_args_is_help=False)
def advise(
    context: typer.Context,
    pattern: Annotated[
        str | None, typer.Argument(metavar="PATTERN", help="such as 'acme/*:market'; default: everything")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="how long it must last; default: 30 days")
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=_LEAST, max=_MOST, help="how likely it is to last so long")
    ] = 0.9,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what to buy by when, so that quota lasts to a date."""

    if math.isnan(confidence):  # passes every comparison with a range
        raise typer.BadParameter("--confidence must be a number")
    command = context_of(context)
    keys = _keys(command, pattern)
    app = command.app
    now = app.clock.now()
    end = now + ORDER_FOR if until is None else _end(until, command, now)
    with command.database.read() as conn:
        found = advice_rows(conn, keys, figures=app.figures, until=end, confidence=confidence, now=now)
    if as_json:
        _show(found, now, end, confidence)
    else:
        print(_for_people(found, Wording(zone=command.settings.timezone), now, end))


def _keys(command: CommandContext, pattern: str | None) -> list[BalanceKey]:
    keys = [BalanceKey(name, category) for name in command.settings.wallets for category in Category]
    if pattern is None:
        return keys
    wanted = read_pattern(pattern)
    matching = [key for key in keys if wanted.matches(*key)]
    if not matching:
        raise RefusedError(f"PATTERN {pattern} means no balance that is configured")
    return matching


def _end(text: str, command: CommandContext, now: datetime) -> datetime:
    end = read_day_end(text, command.settings.timezone, now=now)
    if isinstance(end, Sentence):
        raise typer.BadParameter(f"--until {end}")
    if not now < end or (end - now).days >= _FARTHEST_DAYS:
        raise typer.BadParameter(f"--until {text} must be ahead, and within {_FARTHEST_DAYS} days")
    return end


def _show(found: Sequence[AdviceRow], now: datetime, end: datetime, confidence: float) -> None:
    show_json(
        {
            "as_of": json_instant(now),
            "until": json_instant(end),
            "confidence": confidence,
            "advice": [_as_json(order) for order in found],
            "totals": {category.value: messages for category, messages in totals(found).items()},
        }
    )


def _as_json(order: AdviceRow) -> dict[str, object]:
    return {
        "wallet": order.key.wallet,
        "category": order.key.category,
        "balance": order.balance,
        "burn_per_day": order.estimate.burn_per_day,
        "lead_time_days": order.lead_time.total_seconds() / 86_400,
        "messages": None if order.advice is None else order.advice.messages,
        "move": None if order.advice is None else order.advice.move,
        "ordered": None if order.advice is None else order.advice.ordered,
        "stop_sending_first": order.advice is not None and order.advice.stop_first,
        "order_by": None if order.advice is None else json_instant(order.advice.order_by),
    }


def _for_people(found: Sequence[AdviceRow], words: Wording, now: datetime, end: datetime) -> str:
    needed = [order for order in found if order.is_needed]
    num_unknown = sum(order.advice is None for order in found)
    num_enough = len(found) - len(needed) - num_unknown
    last = words.ahead(end, now=now)
    parts = [
        text_table(_COLUMNS, [_row(order, words, now) for order in needed]) if needed else "",
        bold(words.order_total(totals(found), now=now)),
        faint(
            "; ".join(
                f"{count:,} {said if count > 1 else said_of_one}"
                for count, said_of_one, said in (
                    (num_enough, f"lasts to {last} as it is", f"last to {last} as they are"),
                    (
                        num_unknown,
                        "has too little history or use to go on",
                        "have too little history or use to go on",
                    ),
                )
                if count
            )
        ),
    ]
    return "\n\n".join(part for part in parts if part) or "No balance has a number yet."


def _row(order: AdviceRow, words: Wording, now: datetime) -> tuple[str, ...]:
    return (
        str(order.key),
        number(order.balance),
        words.burn(order.estimate.burn_per_day).removesuffix(" a day"),
        words.runway(order.estimate.runway),
        words.days(order.lead_time.total_seconds() / 86_400),
        words.order(order.advice, order.key.category, now=now),
    )
