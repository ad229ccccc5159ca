"""`init` writes a configuration that loads, and never overwrites one."""

import os
import pty
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from balancebot.config import Settings, load
from tests.cli.conftest import Outcome


def test_it_writes_to_the_default_path_of_the_configuration(
    balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = balancebot("init")
    assert (0, "") == (outcome.status, outcome.err)
    written = tmp_path / "balancebot.toml"
    assert {"accounts"} == tomllib.loads(written.read_text()).keys()
    assert 0o600 == written.stat().st_mode & 0o777


@pytest.mark.parametrize("words", [("init", "my.toml"), ("--config", "my.toml", "init")])
def test_it_writes_to_the_given_path(
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


def test_a_missing_folder_is_reported_without_a_traceback(balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("init", "nowhere/my.toml")
    assert (1, "nowhere/my.toml: can't be written: No such file or directory\n") == (
        outcome.status,
        outcome.err,
    )


def test_it_is_filled_in_with_the_given_values(balancebot: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = balancebot(
        "init",
        *("--account", 'my "firm"', "--dev-key", "env:KEY", "--dev-secret", "file:/run/secrets/jsms"),
        *("--slack-token", "env:SLACK_TOKEN", "--slack-channel", "#ops", "--pages", "127.0.0.1:8080"),
    )
    assert (0, "Try it with: balancebot check") == (outcome.status, outcome.out.splitlines()[-1])
    written = tomllib.loads((tmp_path / "balancebot.toml").read_text())
    secret_key = written["web"].pop("secret_key")
    assert 64 == len(secret_key)
    assert {
        "accounts": [{"name": 'my "firm"', "dev_key": "env:KEY", "dev_secret": "file:/run/secrets/jsms"}],
        "slack": {"bot_token": "env:SLACK_TOKEN", "channel": "#ops"},
        "web": {"listen": "127.0.0.1:8080"},
    } == written


def test_a_slack_token_without_a_channel_is_refused(
    balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = balancebot("init", "--slack-token", "env:SLACK_TOKEN")
    assert (2, "--slack-channel: a Slack bot token needs a channel beside it\n") == (
        outcome.status,
        outcome.err,
    )
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("feishu", "--channel-url", "env:FEISHU_URL", "--channel-secret", "env:FEISHU_SECRET"),
            {
                "url": "env:FEISHU_URL",
                "secret": "env:FEISHU_SECRET",
                "language": "zh-CN",
            },
        ),
        (("pagerduty", "--channel-secret", "env:ROUTING_KEY"), {"secret": "env:ROUTING_KEY"}),
        (("webhook", "--channel-url", "env:HOOK"), {"url": "env:HOOK"}),
    ],
)
def test_a_further_channel_is_written_as_the_default(
    words: tuple[str, ...], expected: dict[str, str], balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    account = ("--account", "acme", "--dev-key", "key", "--dev-secret", "secret")
    assert 0 == balancebot("init", *account, "--channel", *words).status
    file = tmp_path / "balancebot.toml"
    (written,) = tomllib.loads(file.read_text())["channels"]
    assert {"name": f"ops-{words[0]}", "kind": words[0], "default": True} | expected == written
    environ = {"FEISHU_URL": "https://feishu.example.com/hook", "HOOK": "https://hook.example.com"}
    found = load(
        file, environ=environ | {"FEISHU_SECRET": "s", "ROUTING_KEY": "r" * 32}, resolve_secrets=True
    )
    assert isinstance(found, Settings), found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--channel", "feishu"), "--channel-url: feishu needs it"),
        (("--channel", "pagerduty"), "--channel-secret: pagerduty needs it"),
        (
            ("--channel", "feishi", "--channel-url", "x"),
            "--channel: there is no 'feishi'; did you mean feishu?",
        ),
        (("--channel-url", "x"), "--channel: is missing"),
    ],
)
def test_a_further_channel_that_could_not_work_is_refused(
    words: tuple[str, ...], message: str, balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = balancebot("init", *words)
    assert (2, True) == (outcome.status, outcome.err.startswith(message)), outcome.err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # Python 3.12 warns of a fork in a process with threads
def test_on_a_terminal_it_asks_for_the_values(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        path = str(Path(__file__).parents[2])
        os.execvpe(
            sys.executable, [sys.executable, "-m", "balancebot", "init"], os.environ | {"PYTHONPATH": path}
        )
    shown = b""
    for answer in (
        b"bobcat",
        b"my key",
        b"my secret",
        b"",
        b"dingtalk",
        b"https://d.example.com",
        b"",
        b"127.0.0.1:8080",
    ):
        while not shown.endswith(b": "):  # input typed before a hidden prompt appears is discarded
            shown += os.read(terminal, 1024)
        shown = b""
        os.write(terminal, answer + b"\n")
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    written = tomllib.loads((tmp_path / "balancebot.toml").read_text())
    assert {"name": "bobcat", "dev_key": "my key", "dev_secret": "my secret"} == written["accounts"][0]
    assert {"accounts", "channels", "web"} == written.keys()
    assert "https://d.example.com" == written["channels"][0]["url"]
