"""Order advice as a CSV file and as a workbook: the purchases, and the balances that need them."""

from dataclasses import dataclass
from datetime import datetime

from balancebot.config import OrdersConfig
from balancebot.domain.runway import NO_END_HOURS
from balancebot.i18n import Wording
from balancebot.overview.advice import Advice, AdviceRow
from balancebot.sheet_writer import Cell, SheetTable, write_csv, write_workbook

_CSV_NAMES = (
    *("wallet", "category", "balance", "usage_per_day", "runway_days", "lead_time_days", "lacking", "move"),
    *("ordered", "buy", "cost", "order_by", "stop_sending_first", "note"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceSheets:
    """Writes advice for one language and time zone."""

    words: Wording
    orders: OrdersConfig

    def csv(self, advice: Advice) -> str:
        """Return the balances that need something or have something on order; columns are named as in JSON."""
        return write_csv([_CSV_NAMES, *(self._csv_row(row) for row in advice.shown)])

    def xlsx(self, advice: Advice) -> bytes:
        """Return the workbook: a sheet of purchases per account, and a sheet of balances."""
        return write_workbook([self._purchases(advice), self._balances(advice)])

    def _csv_row(self, row: AdviceRow) -> list[Cell]:
        found = row.advice
        if found is None:
            return []
        price = self.orders.prices.get(row.key.category)
        return [
            row.key.wallet,
            row.key.category.value,
            row.balance,
            _rounded(row.estimate.burn_per_day),
            _runway_days(row),
            row.lead_time.total_seconds() / 86_400,
            found.to_buy,
            found.move,
            found.ordered,
            found.messages,
            "" if price is None else f"{price * found.messages:f}",
            "" if found.order_by is None else self.words.working_day(found.order_by).isoformat(),
            "yes" if found.stop_first else "no",
            row.note,
        ]

    def _purchases(self, advice: Advice) -> SheetTable:
        gettext = self.words.gettext
        header = [
            gettext("Account"),
            gettext("Category"),
            gettext("Balances"),
            gettext("From the shared pool"),
            gettext("On order"),
            gettext("Buy"),
            gettext("Packages"),
            gettext("Cost, %(currency)s", currency=self.orders.currency),
            gettext("Act by"),
        ]
        rows: list[list[Cell]] = []
        for account in advice.accounts:
            cost = account.cost(self.orders.prices)
            rows.append(
                [
                    account.account,
                    self.words.category(account.category),
                    account.num_balances,
                    account.move,
                    account.ordered,
                    account.messages,
                    "" if account.num_packages is None else account.num_packages,
                    "" if cost is None else float(cost),
                    self._day(account.order_by, now=advice.as_of),
                ]
            )
        return SheetTable(
            title=gettext("What to order"),
            rows=[header, *rows],
            widths=[18, 14, 10, 14, 14, 14, 10, 14, 14],
            frozen_columns=2,
            sums=[2, 3, 4, 5, 6, 7],
            sum_label=gettext("Total"),
            money=[7],
        )

    def _balances(self, advice: Advice) -> SheetTable:
        gettext = self.words.gettext
        header = [
            gettext("Wallet"),
            gettext("Category"),
            gettext("Left"),
            gettext("Usage, next 24 h"),
            gettext("Runway, days"),
            gettext("Lead time, days"),
            gettext("From the shared pool"),
            gettext("On order"),
            gettext("Lacking"),
            gettext("Act by"),
            gettext("Note"),
        ]
        rows: list[list[Cell]] = [
            [
                row.key.wallet,
                self.words.category(row.key.category),
                row.balance,
                _rounded(row.estimate.burn_per_day),
                _runway_days(row),
                row.lead_time.total_seconds() / 86_400,
                found.move,
                found.ordered,
                gettext("stop the sending first") if found.stop_first else found.to_buy,
                self._day(found.order_by, now=advice.as_of),
                row.note,
            ]
            for row in advice.shown
            if (found := row.advice) is not None
        ]
        return SheetTable(
            title=gettext("Balances"),
            rows=[header, *rows],
            widths=[24, 14, 13, 13, 12, 12, 14, 13, 13, 14, 40],
            frozen_columns=2,
            sums=[6, 7, 8],
            sum_label=gettext("Total"),
        )

    def _day(self, order_by: datetime | None, *, now: datetime) -> str:
        """Return the day by which to act, or "now" if that is today or past."""
        if order_by is None:
            return ""
        if not self.words.act_by(order_by, now=now):
            return self.words.gettext("now")
        return self.words.working_day(order_by).isoformat()


def _rounded(per_day: float | None) -> Cell:
    return "" if per_day is None else round(per_day)


def _runway_days(row: AdviceRow) -> Cell:
    runway = row.estimate.runway
    return "" if runway is None or runway.p50 > NO_END_HOURS else round(runway.p50 / 24, 1)
