"""`thresholds preview`: the alerts that other limits would open now and would have opened in the last 30 days."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from balancebot.clock import SystemClock
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
PREVIEW = ("thresholds", "preview", "acme/checkout", "industry")


@pytest.fixture
def past(balancebot: Run, config: Path, tmp_path: Path) -> None:
    """Ten days: checkout fell from 2,350 to 850 twice, was topped up in between, and has 850 again."""
    now = SystemClock().now().replace(microsecond=0)
    lines = ["observed_at,wallet,category,balance"]
    for hour in range(240, -1, -1):
        at = (now - timedelta(hours=hour)).isoformat()
        lines.append(f"{at},acme/checkout,industry,{850 + 12 * (hour % 121)}")
    (tmp_path / "past.csv").write_text("\n".join(lines), encoding="utf-8")
    assert 0 == balancebot("history", "import", "past.csv").status
    balancebot("thresholds", "set", "acme/checkout", "*", "--warning-days", "off", "--critical-days", "off")


@pytest.mark.usefixtures("past")
def test_the_text_shows_what_would_open_now_and_how_long_before_the_top_up_it_would_have_opened(
    balancebot: Run,
) -> None:
    lines = balancebot(*PREVIEW, "--warning-below", "1,000").out.splitlines()
    assert [
        "+ acme/checkout:industry  warning_below 1000",
        "",
        "1 balance would get different limits. Now:",
        "  acme/checkout:industry would open warning: 850 messages, below the warning limit of 1,000",
        "",
        "acme/checkout:industry",
    ] == lines[:6]
    since, these, first, second, todays = lines[6:]
    assert since.startswith("  in the last 30 days (history since ")
    assert "  with these limits: " == these
    assert first.startswith("    warning ")
    assert first.endswith("; 13 h before it was topped up")
    assert second.endswith("; still open")
    assert "  with today's: silent" == todays


@pytest.mark.usefixtures("past")
def test_json_shows_the_same(balancebot: Run) -> None:
    answer = json.loads(balancebot(*PREVIEW, "--critical-below", "1000", "--json").out)
    (compared,) = answer.pop("last_30_days")
    assert {
        "balances_changed": 1,
        "now": [
            {
                "wallet": "acme/checkout",
                "category": "industry",
                "effect": "opens",
                "before": "ok",
                "after": "critical",
            }
        ],
    } == answer
    assert ["topped_up", "still_open"] == [episode["ending"] for episode in compared["with_these"]]
    assert [] == compared["with_todays"]


@pytest.mark.usefixtures("past")
def test_a_preview_changes_nothing(balancebot: Run) -> None:
    balancebot(*PREVIEW, "--warning-below", "1000")
    (row,) = json.loads(balancebot("thresholds", "list", "--json").out)["thresholds"]
    assert (None, "off") == (row["warning_below"], row["warning_days"])


@pytest.mark.usefixtures("config")
def test_limits_that_set_would_refuse_are_refused(balancebot: Run) -> None:
    outcome = balancebot(*PREVIEW, "--warning-below", "10", "--critical-below", "20")
    assert 1 == outcome.status
    assert "looser than warning_below 10" in outcome.err
    assert 2 == balancebot(*PREVIEW).status


@pytest.mark.usefixtures("config")
def test_a_preview_without_history_says_so(balancebot: Run) -> None:
    outcome = balancebot(*PREVIEW, "--warning-below", "1000")
    assert 0 == outcome.status
    assert outcome.out.splitlines()[-1] in {
        "No balance would get different limits.",
        "There is no history yet.",
    }
