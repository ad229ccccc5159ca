"""A running daemon answers short commands: it prints and does the same as the command itself."""

import ast
import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from balancebot.cli import COMMANDS
from balancebot.cli.ask_daemon import CHANGES, MAX_REQUEST, ask_daemon, socket_path, user_name, version
from balancebot.cli.root import run as run_here
from balancebot.config.secrets import file_version
from tests.cli.conftest import Outcome
from tests.cli.daemon import DaemonProcess, running, until
from tests.cli.firm import Firm
from tests.patience import PATIENCE

Run = Callable[..., Outcome]
Result = tuple[int | None, str, str]
_SET = ("thresholds", "set", "acme/checkout", "industry", "--critical-below", "200000")
_FILE = Path("balancebot.toml")


@pytest.fixture
def run_command(balancebot: Run, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command in one of both ways; return the status and the text of both streams."""

    def call(way: Callable[[list[str]], int | None], *words: str) -> Result:
        capsys.readouterr()
        status = way(list(words))
        return status, *capsys.readouterr()

    return call


@contextmanager
def _daemon(folder: Path) -> Iterator[DaemonProcess]:
    with running(folder) as process:
        until(lambda: [line for line in process.lines() if line["event"] == "poll.cycle"])
        until(lambda: ask_daemon(["silences", "list"]) is not None)
        yield process


@pytest.fixture
def hourly(firm: Firm) -> Firm:
    """The company, with wallets that are read once an hour."""
    firm.config.write_text(firm.config.read_text().replace('"1s"', '"1h"').replace('"30s"', '"2h"'))
    return firm


@pytest.mark.slow
def test_a_daemon_answers_what_the_command_prints(
    hourly: Firm, run_command: Callable[..., Result], tmp_path: Path
) -> None:
    run_here([*_SET, "--note", "结账 <b>"])
    with _daemon(tmp_path):
        until(lambda: "acme/checkout" in run_command(run_here, "alerts", "list")[1])
        for words in (
            ("status",),
            ("status", "acme/*:industry"),
            ("status", "--json"),
            ("status", "nobody/*"),
            ("why", "acme/checkout:industry"),
            ("why", "acme/checkout", "--json"),
            ("alerts", "list"),
            ("alerts", "list", "--all", "--json"),
            ("thresholds", "list"),
            ("thresholds", "list", "--effective", "--json"),
            ("silences", "list"),
            ("--config", "balancebot.toml", "silences", "list", "--all"),
        ):

            def same(words: tuple[str, ...] = words) -> bool:
                before = run_command(run_here, *words)
                answer = run_command(ask_daemon, *words)
                # seconds pass between the two runs, which change figures: repeat until both run within one second
                return before == run_command(run_here, *words) and before == answer

            until(same, " ".join(words))
        for fails in (("alerts", "ack", "x"), ("thresholds", "set", "a/b", "market", "--warning-below", "1")):
            assert run_command(run_here, *fails) == run_command(ask_daemon, *fails)


@pytest.mark.slow
def test_a_daemon_makes_a_change_once_in_the_name_of_the_caller(
    hourly: Firm, run_command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "王芳")
    with _daemon(tmp_path):
        status, out, _ = run_command(ask_daemon, *_SET)
        assert (0, True) == (status, "200" in out), out
        until(lambda: hourly.slack.messages("ops-alerts"))
        (change,) = json.loads(run_command(run_here, "thresholds", "history", "--json")[1])["changes"]
        assert ("王芳", "cli") == (change["who"], change["way"])
        alerts = json.loads(run_command(ask_daemon, "alerts", "list", "--json")[1])["alerts"]
        assert 0 == run_command(ask_daemon, "alerts", "ack", alerts[0]["id"])[0]
        alerts = json.loads(run_command(ask_daemon, "alerts", "list", "--json")[1])["alerts"]
        assert "王芳" == alerts[0]["acknowledged_by"]


@pytest.mark.slow
def test_the_caller_runs_the_command_itself_if_the_daemon_would_do_something_else(
    hourly: Firm, run_command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRM_DATABASE", "sqlite:///own.db")
    hourly.also('[database]\nurl = "env:FIRM_DATABASE"\n')
    with _daemon(tmp_path) as process:
        path = socket_path(_FILE)
        assert path is not None
        assert (0o700, 0o600) == (_mode(path.parent), _mode(path))
        for words in (
            ["status", "--help"],
            ["status", "--bogus"],
            ["poll"],
            ["db", "check"],
            ["silence", "a:"],
            [],
        ):
            assert (None, "", "") == run_command(ask_daemon, *words)
        monkeypatch.setenv("FIRM_DATABASE", "sqlite:///other.db")
        assert ask_daemon(["silences", "list"]) is None
        monkeypatch.setenv("FIRM_DATABASE", "sqlite:///own.db")
        assert 0 == ask_daemon(["silences", "list"])
        os.utime(hourly.config, (1, 1))  # the file has changed: the daemon still uses the old version
        assert ask_daemon(["silences", "list"]) is None
        process.popen.send_signal(signal.SIGHUP)
        until(lambda: ask_daemon(["silences", "list"]) == 0)
        assert 0 == process.end()
        assert not path.exists()


@pytest.mark.slow
def test_a_request_of_another_version_or_without_a_caller_changes_nothing(
    hourly: Firm, run_command: Callable[..., Result], tmp_path: Path
) -> None:
    request = {
        "version": version(),
        "config": str(_FILE.absolute()),
        "file": file_version(_FILE),
        "words": _SET,
        "user": "somebody",
        "is_coloured": False,
    }
    with _daemon(tmp_path) as process:
        accepted = json.dumps({"variable": "", "digest": ""}).encode() + b"\n"
        assert accepted == _ask(json.dumps(request).encode() + b"\n")
        for wrong in (
            request | {"version": "0.0.1"},
            request | {"config": "/etc/balancebot.toml"},
            request | {"file": [1, 2, 3]},
            request | {"words": ["history", "export", "-"]},
            request | {"words": "status"},
            {},
        ):
            assert b"" == _ask(json.dumps(wrong).encode() + b"\n")
        assert b"" == _ask(b"x" * 2 * MAX_REQUEST)
        assert b"" == _ask(b"")
        assert "No row is set" in run_command(run_here, "thresholds", "list")[1]
        process.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.popen.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            assert ask_daemon(list(_SET)) is None
        finally:
            process.popen.send_signal(signal.SIGCONT)
        until(lambda: ask_daemon(["silences", "list"]) == 0)
        assert "No row is set" in run_command(run_here, "thresholds", "list")[1]
        process.popen.kill()
        process.popen.wait()
    assert ask_daemon(["silences", "list"]) is None  # its socket file still exists


@pytest.mark.parametrize(("words", "status"), [(["status"], None), (["alerts", "ack", "1"], 1)])
def test_a_change_that_the_daemon_may_have_made_is_not_made_again(
    config: Path, words: list[str], status: int | None, balancebot: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon ends in the middle of a command: the caller runs the command itself if it only reads."""
    path = socket_path(config)
    if path is None:
        Path(f"/tmp/balancebot-{os.getuid()}").mkdir(mode=0o700)
        path = socket_path(config)
    assert path is not None
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()

        def end_in_the_middle() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                lines.readline()
                connection.sendall(b'{"variable": "", "digest": ""}\n')
                lines.readline()

        thread = threading.Thread(target=end_in_the_middle)
        thread.start()
        try:
            assert status == ask_daemon(words)
        finally:
            thread.join()
            path.unlink()
    assert ("look whether the change was made" in capsys.readouterr().err) == (status == 1)


def test_commands_that_a_daemon_answers_do_not_use_the_streams_of_the_daemon() -> None:
    modules = {COMMANDS[name[0]].place.partition(":")[0] for name in CHANGES}
    for module in modules:
        source = Path(str(import_module(f"balancebot.cli.{module}").__file__)).read_text()
        for node in ast.walk(ast.parse(source)):
            assert not (isinstance(node, ast.Name) and node.id in {"print", "input", "sys"}), (
                module,
                node.lineno,
            )


def test_the_user_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "wang")
    assert "wang" == user_name()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _ask(request: bytes) -> bytes:
    """Send bytes to the daemon, and close the connection after its first line."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(socket_path(_FILE)))
        try:
            connection.sendall(request)
            with connection.makefile("rb") as lines:
                return lines.readline()
        except OSError:  # the daemon has already closed the connection
            return b""
