"""Every command of `docs/api.md` works as described against a real server, and the page names every route."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from balancebot.domain.user import Role
from balancebot.web.api.routes import ROUTES
from tests.web.api.conftest import token_of
from tests.web.conftest import Desk

_PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
_BLOCKS = [
    block
    for block in re.findall(r"```console\n(.*?)```", _PAGE, re.DOTALL)
    if "curl " in block and "export " not in block  # `tests/cli/test_documented.py` runs the others
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_page_work_one_after_the_other(firm: Desk) -> None:
    environment = os.environ | {
        "API": f"{firm.address}/api/v1",
        "TOKEN": token_of(firm, Role.FINANCE),
        "no_proxy": "127.0.0.1",
    }
    num_answers = 0
    for block in _BLOCKS:
        script = block.replace("curl -sS", "curl -sS --fail-with-body -w '\\n'")
        script = script.replace("-D - -o /dev/null", "-D - -o /dev/null -w ''")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, f"{block}\n{done.stdout}\n{done.stderr}"
        answers = [json.loads(line) for line in done.stdout.splitlines() if line]
        num_answers += len(answers)
        assert len(answers) == block.count("\ncurl") + block.startswith("curl") - block.count("-X DELETE")
    assert num_answers == 18


def test_the_page_names_every_route() -> None:
    named = set(re.findall(r"`([A-Z]+ /[^`]*)`", _PAGE))
    assert {f"{route.method} {route.path}" for route in ROUTES} == {
        route for route in named if not route.startswith("GET /api")
    }
