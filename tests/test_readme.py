"""Commands, make targets and links in the README exist, in both languages."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from balancebot.cli.root import root

_ROOT = Path(__file__).parents[1]
_README = "".join((_ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
_COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", _README, re.DOTALL)
    for line in dict.fromkeys(block.splitlines())
    if line.startswith("balancebot ")
]


@pytest.mark.parametrize("line", _COMMANDS)
def test_a_command_of_the_readme_exists_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    command = typer.main.get_command(root)
    while hasattr(command, "get_command"):
        command = command.get_command(None, words.pop(0))
        assert command is not None, line
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", _README, re.MULTILINE)) <= targets


def test_the_links_of_the_readme_exist() -> None:
    assert [] == [path for path in re.findall(r"\]\(([^)#]+)\)", _README) if not (_ROOT / path).exists()]
