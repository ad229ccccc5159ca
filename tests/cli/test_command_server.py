"""A running daemon answers short commands: what is printed and done is what the command itself prints and does."""

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
Said = tuple[int | None, str, str]
_SET = ("thresholds", "set", "acme/checkout", "industry", "--critical-below", "200000")
_FILE = Path("balancebot.toml")


@pytest.fixture
def said(balancebot: Run, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call one way of running a command; return the status and what both streams got."""

    def call(way: Callable[[list[str]], int | None], *words: str) -> Said:
        capsys.readouterr()
        status = way(list(words))
        return status, *capsys.readouterr()

    return call


@contextmanager
def _answering(folder: Path) -> Iterator[DaemonProcess]:
    with running(folder) as process:
        until(lambda: [line for line in process.lines() if line["event"] == "poll.cycle"])
        until(lambda: ask_daemon(["silences", "list"]) is not None)
        yield process


@pytest.fixture
def rare(firm: Firm) -> Firm:
    """The firm, whose wallets are read once an hour."""
    firm.config.write_text(firm.config.read_text().replace('"1s"', '"1h"').replace('"30s"', '"2h"'))
    return firm


@pytest.mark.slow
def test_what_a_daemon_answers_is_what_the_command_prints(
    rare: Firm, said: Callable[..., Said], tmp_path: Path
) -> None:
    run_here([*_SET, "--note", "结账 <b>"])
    with _answering(tmp_path):
        until(lambda: "acme/checkout" in said(run_here, "alerts", "list")[1])
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
                before = said(run_here, *words)
                answered = said(ask_daemon, *words)
                # seconds pass between the two: what they count is compared within one second
                return before == said(run_here, *words) and before == answered

            until(same, " ".join(words))
        for fails in (("alerts", "ack", "x"), ("thresholds", "set", "a/b", "market", "--warning-below", "1")):
            assert said(run_here, *fails) == said(ask_daemon, *fails)


@pytest.mark.slow
def test_a_change_is_made_once_in_the_name_of_the_caller(
    rare: Firm, said: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "王芳")
    with _answering(tmp_path):
        status, out, _ = said(ask_daemon, *_SET)
        assert (0, True) == (status, "200" in out), out
        until(lambda: rare.slack.messages("ops-alerts"))
        (change,) = json.loads(said(run_here, "thresholds", "history", "--json")[1])["changes"]
        assert ("王芳", "cli") == (change["who"], change["way"])
        alerts = json.loads(said(ask_daemon, "alerts", "list", "--json")[1])["alerts"]
        assert 0 == said(ask_daemon, "alerts", "ack", alerts[0]["id"])[0]
        alerts = json.loads(said(ask_daemon, "alerts", "list", "--json")[1])["alerts"]
        assert "王芳" == alerts[0]["acknowledged_by"]


@pytest.mark.slow
def test_the_command_is_left_to_the_caller_wherever_it_would_do_something_else(
    rare: Firm, said: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRM_DATABASE", "sqlite:///own.db")
    rare.also('[database]\nurl = "env:FIRM_DATABASE"\n')
    with _answering(tmp_path) as process:
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
            assert (None, "", "") == said(ask_daemon, *words)
        monkeypatch.setenv("FIRM_DATABASE", "sqlite:///other.db")
        assert ask_daemon(["silences", "list"]) is None
        monkeypatch.setenv("FIRM_DATABASE", "sqlite:///own.db")
        assert 0 == ask_daemon(["silences", "list"])
        os.utime(rare.config, (1, 1))  # somebody has changed it: the daemon has what it said before
        assert ask_daemon(["silences", "list"]) is None
        process.popen.send_signal(signal.SIGHUP)
        until(lambda: ask_daemon(["silences", "list"]) == 0)
        assert 0 == process.end()
        assert not path.exists()


@pytest.mark.slow
def test_nothing_is_done_for_a_caller_of_another_program_or_one_that_goes_away(
    rare: Firm, said: Callable[..., Said], tmp_path: Path
) -> None:
    request = {
        "version": version(),
        "config": str(_FILE.absolute()),
        "file": file_version(_FILE),
        "words": _SET,
        "user": "somebody",
        "is_coloured": False,
    }
    with _answering(tmp_path) as process:
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
        assert "No row is set" in said(run_here, "thresholds", "list")[1]
        process.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.popen.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            assert ask_daemon(list(_SET)) is None
        finally:
            process.popen.send_signal(signal.SIGCONT)
        until(lambda: ask_daemon(["silences", "list"]) == 0)
        assert "No row is set" in said(run_here, "thresholds", "list")[1]
        process.popen.kill()
        process.popen.wait()
    assert ask_daemon(["silences", "list"]) is None  # its socket is still there


@pytest.mark.parametrize(("words", "status"), [(["status"], None), (["alerts", "ack", "1"], 1)])
def test_what_a_daemon_may_have_changed_is_not_done_again(
    config: Path, words: list[str], status: int | None, balancebot: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon that ends in the middle: what only looks is run by the caller."""
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


def test_commands_that_a_daemon_answers_print_for_their_caller() -> None:
    modules = {COMMANDS[name[0]].place.partition(":")[0] for name in CHANGES}
    for module in modules:
        source = Path(str(import_module(f"balancebot.cli.{module}").__file__)).read_text()
        for node in ast.walk(ast.parse(source)):
            assert not (isinstance(node, ast.Name) and node.id in {"print", "input", "sys"}), (
                module,
                node.lineno,
            )


def test_the_user_is_who_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "wang")
    assert "wang" == user_name()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _ask(request: bytes) -> bytes:
    """Send bytes to the daemon, and go away after its first line."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(socket_path(_FILE)))
        try:
            connection.sendall(request)
            with connection.makefile("rb") as lines:
                return lines.readline()
        except OSError:  # it has closed the connection already
            return b""
