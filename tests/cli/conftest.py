"""The command line as a user sees it: words in; exit status, stdout and stderr out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from balancebot.cli import main
from tests.cli.firm import Firm, a_firm


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The exit status of a command and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def balancebot(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logging_as_it_was: None,
) -> Callable[..., Outcome]:
    """Run the program in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BALANCEBOT_CONFIG", raising=False)

    def run(*words: str) -> Outcome:
        capsys.readouterr()
        status = main(words)
        captured = capsys.readouterr()
        return Outcome(status=status, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def firm(tmp_path: Path, sqlite_url: str) -> Iterator[Firm]:
    """A company with JSMS, Slack, a mail server, a configuration and an empty database, on loopback."""
    assert sqlite_url == f"sqlite:///{tmp_path / 'balancebot.db'}"  # the default database of a configuration
    with a_firm(tmp_path) as opened:
        yield opened


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with an account and two apps whose secrets don't exist."""
    file = tmp_path / "balancebot.toml"
    file.write_text(
        """\
[[accounts]]
name = "acme"
dev_key = "env:NO_SUCH_KEY"
dev_secret = "env:NO_SUCH_SECRET"
apps = [
  { name = "checkout", app_key = "key", master_secret = "env:NO_SUCH_SECRET" },
  { name = "结账", app_key = "key2", master_secret = "env:NO_SUCH_SECRET" },
]
"""
    )
    return file
