"""`advise`: how much to buy and by when, so that quota lasts to a date with a stated probability."""

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from balancebot.catalogue import number
from balancebot.cli.context import (
    CommandContext,
    RefusedError,
    command_group,
    context_of,
    read_pattern,
    write_file,
)
from balancebot.cli.output import Column, bold, faint, plural, show, show_json, text_table
from balancebot.config import ENGLISH, OrdersConfig
from balancebot.domain.balance import BalanceKey, Category
from balancebot.domain.local_time import read_day_end
from balancebot.domain.order import Purchase
from balancebot.domain.sentence import Sentence
from balancebot.estimates.context import ORDER_FOR
from balancebot.i18n import Wording
from balancebot.overview.advice import (
    FARTHEST,
    LEAST_SURE,
    MOST_SURE,
    Advice,
    AdviceRow,
    advice_document,
    read_advice,
)
from balancebot.overview.advice_sheet import AdviceSheets

commands = command_group()

_COLUMNS = (
    Column("balance"),
    Column("left", is_number=True),
    Column("next 24 h", is_number=True),
    Column("runway"),
    Column("lead time", is_number=True),
    Column("order"),
)
_PER_ACCOUNT = (
    Column("account"),
    Column("category"),
    Column("from the pool", is_number=True),
    Column("on order", is_number=True),
    Column("buy", is_number=True),
    Column("packages", is_number=True),
    Column("cost", is_number=True),
    Column("by"),
)


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
        float,
        typer.Option("--confidence", min=LEAST_SURE, max=MOST_SURE, help="how likely it is to last so long"),
    ] = 0.9,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="write the balances to a file")
    ] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help="write a workbook")] = None,
) -> None:
    """Show what to move and buy by when, so that quota lasts to a date."""

    if math.isnan(confidence):  # nan passes every comparison with a range
        raise typer.BadParameter("--confidence must be a number")
    command = context_of(context)
    keys = _keys(command, pattern)
    app = command.app
    now = app.clock.now()
    end = now + ORDER_FOR if until is None else _end(until, command, now)
    with command.database.read() as conn:
        found = read_advice(conn, keys, figures=app.figures, until=end, confidence=confidence, now=now)
    orders = command.settings.orders
    sheets = AdviceSheets(words=app.words, orders=orders)
    if csv is not None:
        write_file(csv, lambda: sheets.csv(found).encode("utf-8-sig"))
    if xlsx is not None:
        write_file(xlsx, lambda: sheets.xlsx(found))
    if as_json:
        show_json(advice_document(found, orders, app.words, rows=found.rows))
    elif csv is None and xlsx is None:
        show(advice_text(found, orders, replace(app.words, language=ENGLISH)))


def _keys(command: CommandContext, pattern: str | None) -> list[BalanceKey]:
    keys = [BalanceKey(name, category) for name in command.settings.wallets for category in Category]
    if pattern is None:
        return keys
    wanted = read_pattern(pattern)
    matching = [key for key in keys if wanted.matches(*key)]
    if not matching:
        raise RefusedError(f"PATTERN {pattern} matches no configured balance")
    return matching


def _end(text: str, command: CommandContext, now: datetime) -> datetime:
    end = read_day_end(text, command.settings.timezone, now=now)
    if isinstance(end, Sentence):
        raise typer.BadParameter(f"--until {end}")
    if not now < end or end - now >= FARTHEST:
        raise typer.BadParameter(f"--until {text} must be ahead, and within {FARTHEST.days} days")
    return end


def advice_text(advice: Advice, orders: OrdersConfig, words: Wording) -> str:
    """Return advice as text: what to do for each balance, for each account, and in total."""
    last = words.ahead(advice.until, now=advice.as_of)
    cost = advice.cost(orders.prices)
    total = words.order_total(advice.totals, now=advice.as_of)
    parts = [
        text_table(_COLUMNS, [_row(row, words, advice.as_of) for row in advice.shown])
        if advice.shown
        else "",
        text_table(
            _PER_ACCOUNT, [_purchase(account, orders, words, advice.as_of) for account in advice.accounts]
        )
        if advice.accounts
        else "",
        bold(total if cost is None else f"{total}: {orders.currency} {cost:,.2f}"),
        faint(
            "; ".join(
                f"{plural(count, 'balance')} {several if count > 1 else single}"
                for count, single, several in (
                    (advice.num_enough, f"lasts to {last} as it is", f"last to {last} as they are"),
                    (
                        advice.num_unknown,
                        "has too little history or usage for advice",
                        "have too little history or usage for advice",
                    ),
                )
                if count
            )
        ),
    ]
    return "\n\n".join(part for part in parts if part) or "No balance has a number yet."


def _purchase(account: Purchase, orders: OrdersConfig, words: Wording, now: datetime) -> tuple[str, ...]:
    cost = account.cost(orders.prices)
    by = account.order_by
    return (
        account.account,
        words.category(account.category),
        number(account.move),
        number(account.ordered),
        number(account.messages) if account.messages else "nothing",
        "—" if account.num_packages is None else number(account.num_packages),
        "—" if cost is None else f"{cost:,.2f}",
        "—" if by is None else words.act_by(by, now=now) or "now",
    )


def _row(row: AdviceRow, words: Wording, now: datetime) -> tuple[str, ...]:
    advice = row.advice
    text = words.order(advice, row.key.category, now=now)
    if advice is not None and advice.ordered:
        text = " ".join(part for part in (text, f"({number(advice.ordered)} on order)") if part)
    return (
        str(row.key),
        number(row.balance),
        words.burn(row.estimate.burn_per_day).removesuffix(" a day"),
        words.runway(row.estimate.runway),
        words.days(row.lead_time.total_seconds() / 86_400),
        text,
    )
