"""A statement as a CSV file and as a workbook: one sheet per table, with sums as formulas."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from balancebot.domain.balance import account_of, app_of
from balancebot.domain.local_time import local_time
from balancebot.domain.statement import Statement, StatementBy, StatementRow
from balancebot.i18n import Wording
from balancebot.orders.orders import cost_of
from balancebot.sheet_writer import Cell, SheetTable, write_csv, write_workbook

_AMOUNTS = 8
"""The number of columns in messages, from the opening to the closing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementSheets:
    """Writes statements for one language."""

    words: Wording

    def csv(self, statement: Statement) -> str:
        """Return the rows as CSV for programs; columns are named as in JSON."""
        header = _csv_names(statement.by)
        return write_csv([header, *(self._csv_row(row, statement) for row in statement.rows)])

    def xlsx(self, statement: Statement) -> bytes:
        """Return the workbook: the rows, the totals, the top-ups, the orders, and readings that were wrong."""
        gettext = self.words.gettext
        sheets = [
            self._rows(statement, statement.rows, title=gettext("Statement %(month)s", month=statement.name)),
            self._top_ups(statement),
            self._orders(statement),
            *([self._wrong_readings(statement)] if statement.wrong_readings else []),
            self._about(statement),
        ]
        return write_workbook(sheets)

    def file_name(self, statement: Statement, ending: str) -> str:
        """Return the name of its file."""
        return f"statement-{statement.name}.{ending}"

    def _rows(self, statement: Statement, rows: Sequence[StatementRow], *, title: str) -> SheetTable:
        gettext = self.words.gettext
        names: list[Cell] = [gettext("Account")]
        match statement.by:
            case StatementBy.WALLET:
                names += [gettext("App"), gettext("Owner")]
            case StatementBy.OWNER:
                names += [gettext("Owner")]
            case StatementBy.DAY:
                names = [gettext("Day"), *names]
        names.append(gettext("Category"))
        header = [
            *names,
            gettext("Opening"),
            gettext("Bought"),
            gettext("Moved in"),
            gettext("Moved out"),
            gettext("Refunded"),
            gettext("Used"),
            gettext("Unexplained"),
            gettext("Closing"),
            gettext("Cost, %(currency)s", currency=statement.currency),
            gettext("Hours without readings"),
            gettext("Remark"),
        ]
        first = len(names)
        # the openings and closings of days can't be added up
        summed = range(first, first + _AMOUNTS)
        if statement.by is StatementBy.DAY:
            summed = range(first + 1, first + _AMOUNTS - 1)
        return SheetTable(
            title=title,
            rows=[header, *(self._row(row, statement) for row in rows)],
            widths=[14] * first + [13] * _AMOUNTS + [13, 13, 44],
            frozen_columns=first,
            sums=[*summed, first + _AMOUNTS, first + _AMOUNTS + 1],
            sum_label=gettext("Total"),
            money=[first + _AMOUNTS],
        )

    def _row(self, row: StatementRow, statement: Statement) -> list[Cell]:
        names: list[Cell] = [row.account]
        match statement.by:
            case StatementBy.WALLET:
                names += [row.app or self.words.gettext("shared pool"), row.owner or ""]
            case StatementBy.OWNER:
                names += [row.owner or self.words.gettext("nobody's")]
            case StatementBy.DAY:
                names = ["" if row.day is None else row.day.isoformat(), *names]
        return [
            *names,
            self.words.category(row.category),
            *_amounts(row),
            _money(row.cost(statement.prices)),
            row.hours_missing,
            self._remark(row),
        ]

    def _remark(self, row: StatementRow) -> str:
        """Say why a row has no opening or no closing: a cell that holds nothing counts as 0 in sums."""
        gettext = self.words.gettext
        remarks = []
        if row.opening is None:
            remarks.append(gettext("Not read before: what was there at first is in Unexplained."))
        if row.closing is None:
            remarks.append(gettext("Not read any more: what was there last is in Unexplained, with a minus."))
        return " ".join(remarks)

    def _csv_row(self, row: StatementRow, statement: Statement) -> list[Cell]:
        names: list[Cell] = [row.account, row.app or "", row.owner or "", row.category.value]
        if row.day is not None:
            names = [row.day.isoformat(), *names]
        cost = row.cost(statement.prices)
        return [*names, *_amounts(row), "" if cost is None else f"{cost:f}", row.hours_missing]

    def _top_ups(self, statement: Statement) -> SheetTable:
        gettext = self.words.gettext
        header = [
            gettext("Seen"),
            gettext("Account"),
            gettext("App"),
            gettext("Category"),
            gettext("Messages"),
            gettext("Order"),
        ]
        rows: list[list[Cell]] = [
            [
                f"{local_time(seen.top_up.seen_at, statement.zone):%Y-%m-%d %H:%M}",
                account_of(seen.top_up.wallet),
                app_of(seen.top_up.wallet) or gettext("shared pool"),
                self.words.category(seen.top_up.category),
                seen.messages,
                seen.order or "",
            ]
            for seen in statement.top_ups
        ]
        return SheetTable(
            title=gettext("Top-ups"),
            rows=[header, *rows],
            widths=[18, 16, 18, 14, 13, 10],
            sums=[4],
            sum_label=gettext("Total"),
        )

    def _orders(self, statement: Statement) -> SheetTable:
        gettext = self.words.gettext
        header = [
            gettext("Order"),
            gettext("Wallet"),
            gettext("Category"),
            gettext("State"),
            gettext("Ordered"),
            gettext("Arrived"),
            gettext("Expected by"),
            gettext("Recorded by"),
            gettext("Reference"),
            gettext("Cost, %(currency)s", currency=statement.currency),
            gettext("Note"),
        ]
        rows: list[list[Cell]] = [
            [
                order.id,
                order.wallet,
                self.words.category(order.category),
                self.words.order_state(order.state(statement.as_of)),
                order.quantity,
                order.arrived,
                _day(order.expected_at, statement.zone),
                order.ordered_by,
                order.reference,
                # what was cancelled must not be in the sum
                "" if order.cancelled_at else _money(cost_of(order, statement.prices)),
                order.note,
            ]
            for order in statement.orders
        ]
        return SheetTable(
            title=gettext("Orders"),
            rows=[header, *rows],
            widths=[8, 22, 14, 14, 13, 13, 14, 18, 18, 13, 30],
            sums=[5, 9],
            sum_label=gettext("Total"),
            money=[9],
        )

    def _wrong_readings(self, statement: Statement) -> SheetTable:
        gettext = self.words.gettext
        header = [
            gettext("Seen"),
            gettext("Account"),
            gettext("App"),
            gettext("Category"),
            gettext("Wrong reading"),
            gettext("Reading before"),
        ]
        rows: list[list[Cell]] = [
            [
                _time(wrong.read_at, statement.zone),
                account_of(wrong.balance.wallet),
                app_of(wrong.balance.wallet) or gettext("shared pool"),
                self.words.category(wrong.balance.category),
                wrong.reading,
                wrong.instead,
            ]
            for wrong in statement.wrong_readings
        ]
        return SheetTable(
            title=gettext("Wrong readings"), rows=[header, *rows], widths=[18, 16, 18, 14, 15, 15]
        )

    def _about(self, statement: Statement) -> SheetTable:
        """Return the sheet about the period, and about the quality of the data."""
        gettext = self.words.gettext
        lines: list[list[Cell]] = [
            [gettext("Month"), statement.name],
            [gettext("From"), _time(statement.month.starts_at, statement.zone)],
            [gettext("To"), _time(min(statement.month.ends_at, statement.as_of), statement.zone)],
            [gettext("Time zone"), statement.timezone],
            [gettext("As of"), _time(statement.as_of, statement.zone)],
            [gettext("Hours without readings"), sum(row.hours_missing for row in statement.rows)],
            [gettext("Unexplained messages"), statement.doubtful],
            [gettext("Wrong readings"), len(statement.wrong_readings)],
        ]
        return SheetTable(
            title=gettext("How sure"), rows=[[gettext("What"), gettext("Value")], *lines], widths=[26, 24]
        )


def _csv_names(by: StatementBy) -> list[Cell]:
    return [
        *(["day"] if by is StatementBy.DAY else []),
        *("account", "app", "owner", "category", "opening", "bought", "moved_in", "moved_out", "refunded"),
        *("used", "unexplained", "closing", "cost", "hours_missing"),
    ]


def _amounts(row: StatementRow) -> list[Cell]:
    opening, closing = ("" if value is None else value for value in (row.opening, row.closing))
    return [opening, *row.flows, row.unexplained, closing]


def _money(value: Decimal | None) -> Cell:
    return "" if value is None else float(value)


def _time(at: object, zone: ZoneInfo) -> str:
    return f"{local_time(at, zone):%Y-%m-%d %H:%M}"  # type: ignore[arg-type]


def _day(at: object, zone: ZoneInfo) -> str:
    return f"{local_time(at, zone):%Y-%m-%d}"  # type: ignore[arg-type]
