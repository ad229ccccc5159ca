"""`advise`: what to buy by when, as a table for people and as numbers for scripts."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
HOURS = 240


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
def test_scripts_get_every_balance_with_a_number_the_most_urgent_first(balancebot: Run) -> None:
    outcome = balancebot("advise", "--json")
    assert (0, "") == (outcome.status, outcome.err)
    answer = json.loads(outcome.out)
    first, second, third = answer["advice"]
    due = datetime.fromisoformat(first.pop("order_by")) - datetime.fromisoformat(answer["as_of"])
    assert 2400 == pytest.approx(first.pop("burn_per_day"), rel=0.02)
    bought, moved = first.pop("messages"), first.pop("move")
    needed = bought + moved
    assert {
        "wallet": "acme/checkout",
        "category": "industry",
        "balance": 10_000,
        "lead_time_days": 3.0,
        "ordered": 0,
        "stop_sending_first": False,
    } == first
    assert (True, 0) == (65_000 <= needed <= 100_000, needed % 5_000)
    assert timedelta(0) <= due < timedelta(days=1, hours=12)
    assert [("acme", 0, None), ("acme/结账", None, None)] == [
        (row["wallet"], row["messages"], row["order_by"]) for row in (second, third)
    ]
    assert {"universal": 0, "voice": 0, "industry": needed, "market": 0} == answer["totals"]
    assert 0.9 == answer["confidence"]


@pytest.mark.usefixtures("past")
def test_people_get_a_line_for_what_is_to_be_bought_and_the_total(balancebot: Run) -> None:
    heading, row, _, total, _, rest = balancebot("advise").out.splitlines()
    assert heading.startswith("balance")
    assert row.startswith("acme/checkout:industry  10,000")
    assert re.search(r"Buy about \d{2,3},000 industry SMS (by .+|now): enough until .+ \(90 % sure\)$", row)
    assert re.fullmatch(r"Buy in total about \d\d,000 industry SMS", total)
    assert rest.endswith("as it is; 1 has too little history or use to go on")


@pytest.mark.usefixtures("past")
def test_a_nearer_date_and_less_confidence_need_less(balancebot: Run) -> None:
    until = f"{SystemClock().now() + timedelta(days=10):%Y-%m-%d}"
    answer = json.loads(
        balancebot("advise", "*:industry", "--until", until, "--confidence", "0.5", "--json").out
    )
    assert f"{until}T23:59:00Z" == answer["until"]
    assert answer["totals"]["industry"] in {15_000, 20_000}
    assert ["acme/checkout"] == [row["wallet"] for row in answer["advice"]]


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--until", "2020-01-01"), "--until 2020-01-01 must be ahead, and within 365 days"),
        (("--until", "Christmas"), "--until must be a time such as"),
        (("--confidence", "1"), "--confidence"),
        (("--confidence", "nan"), "--confidence"),
        (("acme/nobody",), "PATTERN acme/nobody means no balance that is configured"),
        (("acme/$",), "PATTERN"),
    ],
)
def test_wrong_usage_is_status_2(balancebot: Run, words: tuple[str, ...], said: str) -> None:
    outcome = balancebot("advise", *words)
    assert 2 == outcome.status
    assert said in " ".join(outcome.err.split())
