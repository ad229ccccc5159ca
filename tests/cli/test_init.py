"""`init` writes a configuration that loads, and never overwrites one."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome


def test_it_writes_where_the_configuration_is_looked_for(
    balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = balancebot("init")
    assert (0, "") == (outcome.status, outcome.err)
    written = tmp_path / "balancebot.toml"
    assert {"accounts"} == tomllib.loads(written.read_text()).keys()
    assert 0o600 == written.stat().st_mode & 0o777


@pytest.mark.parametrize("words", [("init", "my.toml"), ("--config", "my.toml", "init")])
def test_it_writes_where_it_is_told(
    words: tuple[str, ...], balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    assert 0 == balancebot(*words).status
    assert ["my.toml"] == [path.name for path in tmp_path.iterdir()]


def test_it_never_overwrites(balancebot: Callable[..., Outcome], tmp_path: Path) -> None:
    mine = tmp_path / "balancebot.toml"
    mine.write_text("mine")
    outcome = balancebot("init")
    assert (1, "", "balancebot.toml: is there already, and was left as it is\n") == (
        outcome.status,
        outcome.out,
        outcome.err,
    )
    assert "mine" == mine.read_text()


def test_a_folder_that_is_not_there_is_told_without_a_traceback(balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("init", "nowhere/my.toml")
    assert (1, "nowhere/my.toml: can't be written: No such file or directory\n") == (
        outcome.status,
        outcome.err,
    )
