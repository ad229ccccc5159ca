"""The workbook of a statement: formulas that give the same values in LibreOffice, and safe text."""

import csv
import shutil
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.order import Order, TopUp
from balancebot.domain.statement import (
    Flows,
    SeenTopUp,
    Statement,
    StatementBy,
    StatementRow,
    month_span,
    read_month,
)
from balancebot.i18n import Wording
from balancebot.statements.sheet import StatementSheets

NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)
ROWS = (
    StatementRow(
        account="acme",
        category=Category.INDUSTRY,
        opening=50_000,
        flows=Flows(100_000, 0, 10_000, 0, 0),
        closing=140_000,
    ),
    StatementRow(
        account="acme",
        app="=cmd()",
        owner="-1+1",
        category=Category.INDUSTRY,
        opening=800,
        flows=Flows(0, 10_000, 0, 3, 403),
        closing=10_400,
        hours_missing=2,
    ),
    StatementRow(
        account="acme", app="new", category=Category.INDUSTRY, flows=Flows(0, 0, 0, 0, 100), closing=900
    ),
)
SUMS = [50_800, 100_000, 10_000, 10_000, 3, 503, 1_000, 151_300]
"""From the opening to the closing balance; the balance at a wallet's first reading is unexplained."""


@pytest.fixture
def statement() -> Statement:
    order = Order(
        id="1",
        wallet=WalletName("acme"),
        category=Category.INDUSTRY,
        quantity=100_000,
        price=Decimal("4500.50"),
        reference="@PO",
        ordered_at=datetime(2026, 11, 2, tzinfo=UTC),
        ordered_by="finance",
        expected_at=datetime(2026, 11, 5, tzinfo=UTC),
        arrived=100_000,
    )
    top_up = TopUp(
        "1",
        int(datetime(2026, 11, 3, tzinfo=UTC).timestamp()),
        WalletName("acme"),
        Category.INDUSTRY,
        100_000,
    )
    return Statement(
        month=month_span(2026, 11, ZoneInfo("Asia/Shanghai")),
        timezone="Asia/Shanghai",
        by=StatementBy.WALLET,
        as_of=NOW,
        rows=ROWS,
        totals=ROWS[:1],
        top_ups=(SeenTopUp(top_up=top_up, messages=100_000, order="1"),),
        orders=(order,),
        prices={Category.INDUSTRY: Decimal("0.045")},
        currency="CNY",
    )


def test_the_workbook_has_a_sheet_per_table_with_sums_as_formulas(statement: Statement) -> None:
    data = StatementSheets(words=Wording()).xlsx(statement)
    book = openpyxl.load_workbook(BytesIO(data))
    assert ["Statement 2026-11", "Top-ups", "Orders", "How sure"] == book.sheetnames
    sheet = book.worksheets[0]
    assert "E2" == sheet.freeze_panes
    assert "=SUM(F2:F4)" == sheet["F5"].value
    values = openpyxl.load_workbook(BytesIO(data), data_only=True).worksheets[0]
    assert SUMS == [values.cell(5, n).value for n in range(5, 13)]
    assert 22.635 == pytest.approx(values["M5"].value)
    # text stays text
    assert ("s", "=cmd()") == (sheet["B3"].data_type, sheet["B3"].value)
    assert sheet["B3"].quotePrefix


def test_the_workbook_is_in_the_language_of_the_reader(statement: Statement) -> None:
    data = StatementSheets(words=Wording(language="zh-CN")).xlsx(statement)
    book = openpyxl.load_workbook(BytesIO(data))
    assert ["对账单 2026-11", "充值", "订单", "把握程度"] == book.sheetnames
    assert ["账号", "应用", "归属", "类型", "期初"] == [cell.value for cell in book.worksheets[0][1]][:5]


def test_csv_is_for_programs_and_contains_no_formulas(statement: Statement) -> None:
    rows = list(csv.DictReader(StatementSheets(words=Wording()).csv(statement).splitlines()))
    assert ["", "'=cmd()", "new"] == [row["app"] for row in rows]
    assert ["50000", "800", ""] == [row["opening"] for row in rows]
    assert ["0.000", "18.135", "4.500"] == [row["cost"] for row in rows]


def test_a_balance_without_an_opening_has_a_remark_and_breaks_no_sum(statement: Statement) -> None:
    book = openpyxl.load_workbook(BytesIO(StatementSheets(words=Wording()).xlsx(statement)))
    header, *_, new, _ = book.worksheets[0].iter_rows(values_only=True)
    row = dict(zip(header, new, strict=True))
    assert (None, 1_000, 900) == (row["Opening"], row["Unexplained"], row["Closing"])
    assert "Not read before: what was there at first is in Unexplained." == row["Remark"]
    opening, *gained, moved_out, refunded, used, unexplained, closing = SUMS
    assert closing == opening + sum(gained) - moved_out + refunded - used + unexplained


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_and_recalculates_the_workbook(statement: Statement, tmp_path: Path) -> None:
    file = tmp_path / "statement.xlsx"
    file.write_bytes(StatementSheets(words=Wording()).xlsx(statement))
    command = [
        "soffice",
        f"-env:UserInstallation=file://{tmp_path}/profile",
        "--headless",
        "--convert-to",
        "csv",
    ]
    subprocess.run([*command, "--outdir", tmp_path, file], check=True, capture_output=True, timeout=120)
    total = list(csv.reader((tmp_path / "statement.csv").read_text().splitlines()))[-1]
    assert "Total" == total[0]
    sums = [float(cell.replace(",", "")) for cell in total[4:13]]
    assert SUMS == sums[:8]
    assert 22.635 == pytest.approx(sums[8], abs=0.006)


def test_a_month_is_parsed_strictly() -> None:
    assert date(2026, 11, 1) == read_month("2026-11")
    assert [None] * 5 == [read_month(text) for text in ("2026-13", "2026", "26-11", "2026-1", "٢٠٢٦-١١")]
