"""`statement`: opening balance, top-ups, transfers, usage and closing balance of a month."""

from pathlib import Path
from typing import Annotated

import typer

from balancebot.catalogue import number
from balancebot.cli.context import RefusedError, command_group, context_of, write_file
from balancebot.cli.output import Column, bold, faint, plural, show, show_json, text_table
from balancebot.domain.sentence import did_you_mean
from balancebot.domain.statement import Statement, StatementBy, StatementRow, read_month
from balancebot.i18n import Wording
from balancebot.statements.sheet import StatementSheets
from balancebot.statements.statement import statement_document

commands = command_group()

_AMOUNTS = (
    Column("opening", is_number=True),
    Column("bought", is_number=True),
    Column("moved in", is_number=True),
    Column("moved out", is_number=True),
    Column("refunded", is_number=True),
    Column("used", is_number=True),
    Column("unexplained", is_number=True),
    Column("closing", is_number=True),
    Column("cost", is_number=True),
)
_NAMED = {StatementBy.WALLET: "wallet", StatementBy.OWNER: "owner", StatementBy.DAY: "day"}


@commands.command(no_args_is_help=True)
def statement(
    context: typer.Context,
    month: Annotated[str, typer.Argument(metavar="YYYY-MM")],
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="of one account; default: of all")
    ] = None,
    by: Annotated[StatementBy, typer.Option("--by", help="what a row is about")] = StatementBy.WALLET,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="write the rows to a file")
    ] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help="write a workbook")] = None,
) -> None:
    """Say what was there, bought, moved, used and left in a month, per wallet and category."""
    first = read_month(month)
    if first is None:
        raise typer.BadParameter(f"YYYY-MM must be a month such as 2026-11, not {month!r}")
    command = context_of(context)
    app = command.app
    made_by = app.make_statements
    if account is not None and account not in (known := made_by.accounts()):
        configured = [found.name for found in command.settings.accounts]
        if account not in configured:
            raise RefusedError(
                f"--account: no account {account} is known{did_you_mean(account, [*known, *configured])}"
            )
    made = made_by.make(first, account=account, by=by)
    sheets = StatementSheets(words=app.words)
    if csv is not None:
        write_file(csv, lambda: sheets.csv(made).encode("utf-8-sig"))
    if xlsx is not None:
        write_file(xlsx, lambda: sheets.xlsx(made))
    if as_json:
        show_json(statement_document(made, now=made.as_of))
    elif csv is None and xlsx is None:
        show(_for_people(made))


def _for_people(made: Statement) -> str:
    words = Wording(zone=made.zone)
    lines = [_row(row, made, words) for row in made.rows]
    totals = [_row(row, made, words, name="total") for row in made.totals]
    columns = (Column("account"), Column(_NAMED[made.by]), Column("category"), *_AMOUNTS)
    sure = [
        f"{sum(row.hours_missing for row in made.rows):,} hours without readings, over all balances",
        f"{made.doubtful:,} messages unexplained",
    ]
    if not made.is_over:
        sure.append("the month hasn't ended")
    if any(row.opening is None for row in made.rows):
        sure.append("no opening balance: the balance at the first reading is listed as unexplained")
    if made.wrong_readings:
        sure.append(
            f"{plural(len(made.wrong_readings), 'wrong reading')} taken back by the next, neither usage nor top-up: "
            "see `balancebot history wrong`"
        )
    parts = [
        bold(f"Statement of {made.name}, {made.zone.key}"),
        text_table(columns, [*lines, *totals]) if lines else "Nothing was read in this month.",
        faint("; ".join(sure)),
    ]
    return "\n\n".join(parts)


def _row(row: StatementRow, made: Statement, words: Wording, *, name: str = "") -> tuple[str, ...]:
    match made.by:
        case _ if name:
            about = name
        case StatementBy.WALLET:
            about = row.app or "shared pool"
        case StatementBy.OWNER:
            about = row.owner or "nobody's"
        case StatementBy.DAY:
            about = "" if row.day is None else row.day.isoformat()
    cost = row.cost(made.prices)
    return (
        row.account,
        about,
        words.category(row.category),
        "—" if row.opening is None else number(row.opening),
        *(number(amount) for amount in row.flows),
        number(row.unexplained),
        "—" if row.closing is None else number(row.closing),
        "—" if cost is None else f"{cost:,.2f}",
    )
