"""Schemathesis reads the API's description and tries to find an answer that breaks it, with each kind of token and none.

The program runs as anybody would run it against a deployment. It invents what a person wouldn't: every bound just missed,
wrong types, methods that aren't there, an id after its deletion, a request without its token. `test_any_request.py`
knows our words instead, and so gets farther inside.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from balancebot.domain.user import Role
from balancebot.web.api.budget import RequestBudget
from balancebot.web.api.route import ApiBudgets
from balancebot.web.api.routes import ROUTES
from tests.web.api.conftest import token_of
from tests.web.conftest import Desk

MOST = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")
"""Invented requests of a route and phase, beside those at its bounds; more find more, and take longer."""


def _run(desk: Desk, folder: Path, *options: str, token: str | None) -> str:
    """Run the program over the API; return what it prints, and fail if it found anything."""
    desk.pages.state.api_budgets = ApiBudgets(
        requests=RequestBudget(1_000_000), failures=RequestBudget(1_000_000)
    )
    headers = [] if token is None else ["--header", f"Authorization: Bearer {token}"]
    description = folder / "openapi.json"
    with desk.visitor() as visitor:
        visitor.headers["Authorization"] = f"Bearer {token_of(desk, Role.VIEWER, 'reader')}"
        description.write_bytes(visitor.get("/api/v1/openapi.json").content)
    found = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            description,
            "--url",
            f"{desk.address}/api/v1",
            "--checks",
            "all",
            # a description can't say that `from` lies before `to`, or which cursors were given
            "--exclude-checks",
            "positive_data_acceptance",
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
            *headers,
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == found.returncode, found.stdout + found.stderr
    assert f"Tested: {len(ROUTES)}\n" in found.stdout
    return found.stdout


@pytest.mark.slow
def test_no_answer_to_a_token_that_may_do_everything_breaks_the_description(
    firm: Desk, tmp_path: Path
) -> None:
    _run(firm, tmp_path, "--max-examples", MOST, token=token_of(firm, Role.FINANCE))


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_no_refusal_breaks_the_description(firm: Desk, tmp_path: Path, role: Role | None) -> None:
    token = None if role is None else token_of(firm, role)
    _run(firm, tmp_path, "--phases", "fuzzing", "--max-examples", MOST, token=token)
