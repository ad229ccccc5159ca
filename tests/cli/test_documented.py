"""Every command that README and docs/ show is run exactly as shown, in the order of the pages."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from balancebot.cli.root import root
from tests.cli.conftest import Outcome
from tests.cli.firm import Firm

pytestmark = pytest.mark.slow
Run = Callable[..., Outcome]

_ROOT = Path(__file__).parents[2]
_PAGES = [*sorted(_ROOT.glob("README*.md")), *sorted((_ROOT / "docs").rglob("*.md"))]
_SHOWN = {
    re.split(r"\s{2,}#", line)[0].strip(): page.relative_to(_ROOT).as_posix()
    for page in _PAGES
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    for line in block.splitlines()
    if line.startswith("balancebot ")
}
_NAMED = sorted(
    {
        line
        for page in _PAGES
        for line in re.findall(r"`(balancebot [a-z][^`]*)`", page.read_text())
        if "…" not in line
    }
)
_ELSEWHERE = {
    "balancebot run": "test_run.py",
    "balancebot reload": "test_reload.py",
    "balancebot init": "test_init.py",
    "balancebot simulate --port 8701": "test_check.py",
    "balancebot simulate --port 8701 --past past.csv": "test_check.py",
    "balancebot simulate --port 8701 --past past.csv > balancebot.toml": "test_check.py",
    "balancebot simulate --port 8701 --scenario mine.toml": "tests/jsms/simulator/test_scenario_file.py",
    "balancebot history import past.csv": "test_check.py",
    "balancebot db restore /var/backups/balancebot-2026-11-24.db": "test_maintenance.py: it needs the file alone",
    "balancebot users add NAME --role finance": "tests/people: it asks for a password",
}
"""Commands that need a terminal, a file or a separate process, and where they are tested."""


def test_commands_are_shown_only_in_console_blocks() -> None:
    for page in _PAGES:
        for kind, block in re.findall(r"```(\w*)\n(.*?)```", page.read_text(), re.DOTALL):
            if kind != "console":
                assert "balancebot " not in {line.lstrip("$ ")[:11] for line in block.splitlines()}, page
            assert "$ balancebot" not in block, page


def test_every_command_that_is_shown_succeeds(firm: Firm, balancebot: Run) -> None:
    """The id of the alert and the folder of backups are replaced; in the documentation they are examples."""
    assert set(_ELSEWHERE) <= set(_SHOWN)
    firm.has(900)
    assert (
        0 == balancebot("thresholds", "set", "acme/checkout", "industry", "--critical-below", "1000").status
    )
    assert 0 == balancebot("poll").status
    for line, page in _SHOWN.items():
        if line in _ELSEWHERE:
            continue
        command_line = line.replace(" 17 ", " 1 ").replace("/var/backups/", "")
        done = balancebot(*shlex.split(command_line)[1:])
        assert 0 == done.status, f"{page}: {line}\n{done.err}"


@pytest.mark.parametrize("line", _NAMED)
def test_a_command_named_in_the_text_exists_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    command = typer.main.get_command(root)
    while hasattr(command, "get_command") and words:
        command = command.get_command(None, words.pop(0))
        assert command is not None, line
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
