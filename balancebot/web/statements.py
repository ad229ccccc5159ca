"""Statements: opening balance, top-ups, transfers, usage and closing balance of a month; page, CSV and workbook."""

from collections import defaultdict
from datetime import date, datetime, time, timedelta

from starlette.responses import Response

from balancebot.domain.balance import Category
from balancebot.domain.statement import Statement, StatementBy, StatementRow, read_month
from balancebot.statements.sheet import StatementSheets
from balancebot.web.downloads import XLSX, csv_response, file_response
from balancebot.web.rendering import show
from balancebot.web.request import PageRequest

_MAX_ROWS = 500
"""How many rows the page shows; the files have all."""
_NOON = time(12)


def month(request: PageRequest) -> Response:
    """Show the statement of the month in the address, or of the last complete month."""
    made = _made(request)
    first = made.month.day
    this_month = request.now.astimezone(request.zone).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    by_account = _days_by_account(made) if made.by is StatementBy.DAY else []
    rows = made.rows[:_MAX_ROWS] if made.by is not StatementBy.DAY else ()
    num_shown = len(rows) + sum(len(days) for _, days in by_account)
    return show(
        request,
        "statement.html.j2",
        made=made,
        rows=rows,
        by_account=by_account,
        noon=lambda day: datetime.combine(day, _NOON, request.zone),
        num_left_out=len(made.rows) - num_shown,
        account=request.query("account"),
        accounts=request.app.make_statements.accounts(),
        before=f"{first - timedelta(days=1):%Y-%m}",
        after=f"{following:%Y-%m}" if following <= this_month else "",
        latest=f"{this_month:%Y-%m}",
        hours_missing=sum(row.hours_missing for row in made.rows),
        until=min(made.month.ends_at, made.as_of),
    )


def _days_by_account(made: Statement) -> list[tuple[StatementRow, list[StatementRow]]]:
    """Return the days of each account and category, below its total, until the page is full; at least one."""
    days_of: dict[tuple[str, Category], list[StatementRow]] = defaultdict(list)
    for row in made.rows:
        days_of[row.account, row.category].append(row)
    found: list[tuple[StatementRow, list[StatementRow]]] = []
    room = _MAX_ROWS
    for total in made.totals:
        days = days_of[total.account, total.category]
        room -= len(days)
        if found and room < 0:
            break
        found.append((total, days))
    return found


def download_csv(request: PageRequest) -> Response:
    """Send the rows as CSV that Excel and WPS open correctly."""
    made, sheets = _made(request), StatementSheets(words=request.words)
    return csv_response(sheets.csv(made), sheets.file_name(made, "csv"))


def download_xlsx(request: PageRequest) -> Response:
    """Send the workbook."""
    made, sheets = _made(request), StatementSheets(words=request.words)
    return file_response(sheets.xlsx(made), sheets.file_name(made, "xlsx"), XLSX)


def _made(request: PageRequest) -> Statement:
    local = request.now.astimezone(request.zone).date()
    last = (local.replace(day=1) - timedelta(days=1)).replace(day=1)
    wanted: date = read_month(request.query("month")) or last
    by = next((by for by in StatementBy if by.value == request.query("by")), StatementBy.WALLET)
    account = request.query_exactly("account")
    known = request.app.make_statements.accounts()
    return request.app.make_statements.make(wanted, account=account if account in known else None, by=by)
