"""Schemathesis reads the OpenAPI description and searches for an answer that violates it, with each kind of token and none.

The program runs as anybody would run it against a deployment. It invents what a person wouldn't: every bound just missed,
wrong types, methods that aren't there, an id after its deletion, a request without its token. `test_any_request.py`
knows our words instead, and so gets farther inside.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from httpx import URL

from balancebot.domain.user import Role
from balancebot.web.api.budget import RequestBudget
from balancebot.web.api.route import PREFIX, ApiBudgets, ApiRoute
from balancebot.web.api.routes import ROUTES
from tests.patience import PATIENCE
from tests.web.api.conftest import token_of
from tests.web.conftest import Desk

MOST = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")
"""Generated requests per route and phase, besides those at its bounds; more find more, and take longer."""


def _run(desk: Desk, folder: Path, *options: str, token: str | None) -> list[tuple[str, str, int]]:
    """Run the program against the API and fail if it found a fault; return the method, path and status of each answer."""
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
            # a description can't express that `from` is before `to`, or which cursors are valid; and a silence that
            # was ended can still be read
            "--exclude-checks",
            "positive_data_acceptance,use_after_free",
            # a busy machine is slow, which is no fault of the tested code
            "--request-timeout",
            str(PATIENCE),
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-color",
            "--report-har-path",
            folder / "answers.har",
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
    log = json.loads((folder / "answers.har").read_text())["log"]
    return [
        (entry["request"]["method"], URL(entry["request"]["url"]).path, entry["response"]["status"])
        for entry in log["entries"]
    ]


def _without_success(answers: list[tuple[str, str, int]]) -> list[str]:
    """Return the routes without a successful request."""

    def is_of(route: ApiRoute, method: str, path: str, status: int) -> bool:
        pattern = PREFIX + re.sub(r"\{\w+\}", "[^/]+", route.path)
        return (route.method, int(route.status)) == (method, status) and bool(re.fullmatch(pattern, path))

    return [
        f"{route.method} {route.path}"
        for route in ROUTES
        if not any(is_of(route, *answer) for answer in answers)
    ]


@pytest.mark.slow
def test_every_answer_to_a_token_with_all_permissions_is_as_described(firm: Desk, tmp_path: Path) -> None:
    answers = _run(firm, tmp_path, "--max-examples", MOST, token=token_of(firm, Role.FINANCE))
    assert [] == _without_success(answers)


@pytest.mark.slow
@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_every_refusal_is_as_described(firm: Desk, tmp_path: Path, role: Role | None) -> None:
    token = None if role is None else token_of(firm, role)
    answers = _run(firm, tmp_path, "--phases", "fuzzing", "--max-examples", MOST, token=token)
    refused = 401 if role is None else 403
    assert {refused} == {status for method, _, status in answers if method in {"PUT", "DELETE"}}
