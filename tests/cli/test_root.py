"""What all commands share: help, unknown words, exit statuses, and errors without a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from balancebot import __version__
from balancebot.cli import COMMANDS
from balancebot.cli.root import root
from tests.cli.conftest import Outcome


def _command(name: str) -> object:
    group = typer.main.get_command(root)
    return group.get_command(None, name)  # type: ignore[attr-defined]


def test_help_lists_every_command_on_one_line(balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("--help")
    assert (0, "") == (outcome.status, outcome.err)
    lines = [line.strip() for line in outcome.out.splitlines()]
    for entry in COMMANDS.values():
        assert any(line.startswith(entry.name) and line.endswith(entry.summary) for line in lines)
    assert max(map(len, lines)) <= 110


def test_help_is_the_same_in_all_its_forms(balancebot: Callable[..., Outcome]) -> None:
    assert balancebot("--config", "elsewhere.toml", "--help").out == balancebot("--help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_contains_its_summary_from_the_list(
    name: str, balancebot: Callable[..., Outcome]
) -> None:
    outcome = balancebot(name, "--help")
    assert 0 == outcome.status
    shown = " ".join(outcome.out.split()).casefold()
    assert COMMANDS[name].summary.casefold() in shown


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from balancebot.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert set() == {"typer", "rich", "sqlalchemy", "httpx", "numpy"} & set(done.stderr.split())


def test_a_shell_completes_commands_of_groups() -> None:
    """Called as the script of `--show-completion bash` does."""
    asked = {
        "_BALANCEBOT_COMPLETE": "complete_bash",
        "COMP_WORDS": "balancebot thresholds im",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "balancebot"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | asked,
    )
    assert ("import", "") == (done.stdout.strip(), done.stderr)


def test_without_a_command_the_list_of_commands_is_shown_and_it_is_wrong_usage(
    balancebot: Callable[..., Outcome],
) -> None:
    outcome = balancebot()
    assert (2, balancebot("--help").out) == (outcome.status, outcome.out)


def test_an_unknown_command_is_wrong_usage_and_suggests_the_nearest(
    balancebot: Callable[..., Outcome],
) -> None:
    outcome = balancebot("inti")
    assert 2 == outcome.status
    assert "There is no command 'inti'; did you mean init?" in outcome.err


def test_an_unknown_option_is_wrong_usage(balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("init", "--forec")
    assert 2 == outcome.status
    assert "--forec" in outcome.err


def test_the_version_is_printed(balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("--version")
    assert (0, f"balancebot {__version__}\n") == (outcome.status, outcome.out)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("runway", "--help")])
def test_a_reader_that_closes_the_pipe_early_gets_no_traceback(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed_pipe:
        done = subprocess.run(
            [sys.executable, "-m", "balancebot", *words],
            stdout=closed_pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (1, b"") == (done.returncode, done.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_behind_stdout_is_reported_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "balancebot", "--help"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (1, b"can't continue: No space left on device\n") == (done.returncode, done.stderr)


def test_characters_that_the_terminal_cannot_encode_are_escaped() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "balancebot", "runway", "--jsonl"],
        input='{"id": "结账", "now": 0, "ts": [], "balance": []}\n{"id": "\\ud800"}\n'.encode(),
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert ["结账", None] == [json.loads(line)["id"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_not_an_error(closed: str) -> None:
    line = f"{sys.executable} -m balancebot runway --jsonl </dev/null {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
    assert (0, b"") == (done.returncode, done.stderr)


def test_arguments_are_utf_8_in_every_locale() -> None:
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words: list[str | bytes] = [sys.executable, "-m", "balancebot", "结账".encode()]
    done = subprocess.run(words, capture_output=True, env=env, check=False)
    assert (2, True) == (done.returncode, "no command '结账'".encode() in done.stderr)
    done = subprocess.run([*words[:3], b"\xff"], capture_output=True, check=False)
    assert (2, b"the words after balancebot must be UTF-8\n") == (done.returncode, done.stderr)
