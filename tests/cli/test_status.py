"""`status`: which balances a pattern selects, and what happens if it selects none."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome

ROOT = Path(__file__).parents[2]
Run = Callable[..., Outcome]
pytestmark = pytest.mark.usefixtures("config")


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("acme", ["acme"] * 4),
        ("acme/*:voice", ["acme/checkout", "acme/结账"]),
        ("*:market", ["acme", "acme/checkout", "acme/结账"]),
    ],
)
def test_a_pattern_selects_balances(pattern: str, shown: list[str], balancebot: Run) -> None:
    found = json.loads(balancebot("status", pattern, "--json").out)["balances"]
    assert shown == [balance["wallet"] for balance in found]


def test_a_wallet_that_is_not_configured_is_refused_with_the_nearest(balancebot: Run) -> None:
    outcome = balancebot("status", "acme/chekout:voice")
    message = "PATTERN acme/chekout:voice matches no configured balance; did you mean acme/checkout?\n"
    assert (2, "", message) == (outcome.status, outcome.out, outcome.err)


def test_a_pattern_that_matches_nothing_now_is_a_warning(balancebot: Run) -> None:
    outcome = balancebot("status", "other/*", "--json")
    assert (0, "PATTERN other/* matches no configured balance\n") == (outcome.status, outcome.err)
    assert [] == json.loads(outcome.out)["balances"]


def test_status_on_sqlite_imports_no_unneeded_modules(config: Path, balancebot: Run) -> None:
    balancebot("db", "upgrade")
    probe = f"import sys; from balancebot.cli import main; main(['--config', {str(config)!r}, 'status'])"
    probe += "; print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for_others = {
        "alembic",
        "httpx",
        "jinja2",
        "numpy",
        "rich",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.orm",
    }
    assert set() == for_others & set(done.stderr.split())
