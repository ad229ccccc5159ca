"""`advise`: what to buy by when, as a table for people and as numbers for scripts."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest

from balancebot.clock import SystemClock
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
HOURS = 240
USED_IN_30_DAYS = 30 * 24 * 100


@pytest.fixture
def past(balancebot: Run, config: Path, tmp_path: Path) -> None:
    """Ten days: checkout used 100 industry messages an hour and has 10,000; the pool hardly any of 900,000."""
    config.write_text("[orders]\npackage_sizes = { industry = 5000 }\n" + config.read_text())
    now = SystemClock().now().replace(microsecond=0)
    lines = ["observed_at,wallet,category,balance"]
    for hour in range(HOURS, -1, -1):
        at = (now - timedelta(hours=hour)).isoformat()
        lines.append(f"{at},acme/checkout,industry,{10_000 + 100 * hour}")
        lines.append(f"{at},acme,market,{900_000 + hour}")
    lines.append(f"{now.isoformat()},acme/结账,voice,70")
    (tmp_path / "past.csv").write_text("\n".join(lines), encoding="utf-8")
    assert 0 == balancebot("history", "import", "past.csv").status


@pytest.mark.usefixtures("past")
def test_json_has_every_balance_with_a_quantity_the_most_urgent_first(balancebot: Run) -> None:
    outcome = balancebot("advise", "--json")
    assert (0, "") == (outcome.status, outcome.err)
    answer = json.loads(outcome.out)
    first, second, third = answer["advice"]
    due_at = datetime.fromisoformat(first.pop("order_by"))
    due = due_at - datetime.fromisoformat(answer["as_of"])
    lacking, day = first.pop("lacking"), date.fromisoformat(first.pop("order_by_day"))
    assert 2400 == pytest.approx(first.pop("burn_per_day"), rel=0.02)
    bought, moved = first.pop("messages"), first.pop("move")
    needed = bought + moved
    assert {
        "wallet": "acme/checkout",
        "category": "industry",
        "balance": 10_000,
        "lead_time_days": 3.0,
        "ordered": 0,
        "universal": 0,
        "stop_sending_first": False,
        "note": "",
    } == first
    assert (True, 0) == (65_000 <= needed <= 100_000, needed % 5_000)
    assert 0 <= bought - lacking < 5_000
    assert day < due_at.date()
    assert timedelta(0) <= due < timedelta(days=1, hours=12)
    assert [("acme", 0, None), ("acme/结账", None, None)] == [
        (row["wallet"], row["messages"], row["order_by"]) for row in (second, third)
    ]
    assert {"universal": 0, "voice": 0, "industry": needed, "market": 0} == answer["totals"]
    assert [("acme", "industry", needed, needed // 5_000)] == [
        (account["account"], account["category"], account["messages"], account["packages"])
        for account in answer["accounts"]
    ]
    assert 0.9 == answer["confidence"]


@pytest.mark.usefixtures("past")
def test_the_table_has_a_line_for_each_purchase_and_the_total(balancebot: Run) -> None:
    heading, row, _, per_account, account, _, total, _, rest = balancebot("advise").out.splitlines()
    assert heading.startswith("balance")
    assert row.startswith("acme/checkout:industry  10,000")
    assert re.search(r"Buy about \d{2,3},000 industry SMS (by .+|now): enough until .+ \(90 % sure\)$", row)
    assert per_account.split()[:2] == ["account", "category"]
    # the deadline is days before the balance runs out: past or not, depending on the hour at which the test runs
    assert re.fullmatch(r"acme +industry +0 +0 +\d\d,000 +\d\d +— +(now|\w{3} \d{1,2} \w{3})", account)
    assert re.fullmatch(r"Buy in total about \d\d,000 industry SMS", total)
    assert rest.endswith("as it is; 1 balance has too little history or usage for advice")


@pytest.mark.usefixtures("past")
def test_an_earlier_date_and_a_lower_confidence_need_less(balancebot: Run) -> None:
    until = f"{SystemClock().now() + timedelta(days=10):%Y-%m-%d}"
    answer = json.loads(
        balancebot("advise", "*:industry", "--until", until, "--confidence", "0.5", "--json").out
    )
    assert f"{until}T23:59:00Z" == answer["until"]
    assert answer["totals"]["industry"] in {15_000, 20_000}
    assert ["acme/checkout"] == [row["wallet"] for row in answer["advice"]]


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--until", "2020-01-01"), "--until 2020-01-01 must be ahead, and within 365 days"),
        (("--until", "Christmas"), "--until must be a day such as"),
        (("--confidence", "1"), "--confidence"),
        (("--confidence", "nan"), "--confidence"),
        (("acme/nobody",), "PATTERN acme/nobody matches no configured balance"),
        (("acme/$",), "PATTERN"),
    ],
)
def test_wrong_usage_is_status_2(balancebot: Run, words: tuple[str, ...], message: str) -> None:
    outcome = balancebot("advise", *words)
    assert 2 == outcome.status
    assert message in " ".join(outcome.err.split())


@pytest.mark.usefixtures("past")
def test_files_list_every_purchase_and_transfer(balancebot: Run, tmp_path: Path) -> None:
    outcome = balancebot("advise", "--csv", "advice.csv", "--xlsx", "advice.xlsx")
    assert (0, "") == (outcome.status, outcome.out)
    header, row = (tmp_path / "advice.csv").read_text("utf-8-sig").splitlines()
    assert header.startswith("wallet,category,balance,usage_per_day,runway_days,lead_time_days,lacking,move")
    assert row.startswith("acme/checkout,industry,10000,")
    book = openpyxl.load_workbook(tmp_path / "advice.xlsx")
    assert ["What to order", "Balances"] == book.sheetnames
    assert ["acme", "industry", 1] == [cell.value for cell in book["What to order"][2]][:3]


@pytest.mark.usefixtures("past")
def test_ordered_quota_is_marked_and_not_advised_again(balancebot: Run) -> None:
    soon = f"{SystemClock().now() + timedelta(days=5):%Y-%m-%d}"
    assert 0 == balancebot("orders", "add", "acme", "industry", "10万", "--expected", soon).status
    answer = json.loads(balancebot("advise", "*:industry", "--json").out)
    assert (0, 0) == (answer["totals"]["industry"], answer["advice"][0]["messages"])
    assert USED_IN_30_DAYS - 10_000 <= answer["advice"][0]["ordered"] <= 100_000
    assert [("acme", 0)] == [(account["account"], account["messages"]) for account in answer["accounts"]]
    assert "on order)" in balancebot("advise", "*:industry").out


def _universal_takes_over(balancebot: Run, tmp_path: Path, *, bought: int) -> dict[str, dict[str, object]]:
    """Checkout uses 100 messages an hour: of industry, and for 30 hours of universal, until industry is bought."""
    now = SystemClock().now().replace(microsecond=0)
    lines = ["observed_at,wallet,category,balance"]
    industry, universal = 100 * (HOURS - 60), 9_000
    for hour in range(HOURS, -1, -1):
        at = (now - timedelta(hours=hour)).isoformat()
        lines += [f"{at},acme/checkout,industry,{industry}", f"{at},acme/checkout,universal,{universal}"]
        if bought and hour == 30:
            industry += bought
        elif industry:
            industry -= 100
        else:
            universal -= 100
    (tmp_path / "past.csv").write_text("\n".join(lines), encoding="utf-8")
    assert 0 == balancebot("history", "import", "past.csv").status
    answer = json.loads(balancebot("advise", "acme/checkout", "--json").out)
    return {str(row["category"]): row for row in answer["advice"]}


@pytest.mark.usefixtures("config")
def test_universal_quota_counts_for_an_empty_category_that_uses_it(balancebot: Run, tmp_path: Path) -> None:
    rows = _universal_takes_over(balancebot, tmp_path, bought=0)
    left = 9_000 - 100 * 60
    assert [0, left] == [rows["industry"]["balance"], rows["industry"]["universal"]]
    assert 0.9 * (72_000 - left) <= int(str(rows["industry"]["messages"])) <= 1.4 * (72_000 - left)
    assert 0 == rows["universal"]["messages"]
    out = balancebot("advise").out
    assert f"Since industry is empty, universal SMS are used instead: {left:,} are left" in out
    assert "It is used because industry is empty: buy that, not universal" in out
    balances = json.loads(balancebot("status", "--json").out)["balances"]
    lasts = {row["category"]: row["runway_days"] for row in balances if row["balance"] is not None}
    assert left / 2_400 == pytest.approx(lasts["universal"]["p50"], rel=0.1)


@pytest.mark.usefixtures("config")
def test_universal_quota_that_was_used_instead_once_is_shown_as_a_reserve(
    balancebot: Run, tmp_path: Path
) -> None:
    rows = _universal_takes_over(balancebot, tmp_path, bought=20_000)
    industry = rows["industry"]
    left = 9_000 - 100 * 30
    assert 0 < int(str(industry["universal"])) <= left
    needed = 72_000 - int(str(industry["balance"])) - int(str(industry["universal"]))
    assert 0.8 * needed <= int(str(industry["messages"])) <= 1.5 * needed
    assert re.search(
        r"[\d,]+ universal SMS can take over: they were used when industry was empty on",
        balancebot("advise").out,
    )
