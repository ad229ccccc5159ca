"""`run`: a process of its own that reads, tells, serves, ends when asked to, and takes up what it left."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.notify.slack.envelopes import click

pytestmark = pytest.mark.slow
Run = Callable[..., Outcome]
_PATIENCE = 90.0
_COMMAND = (sys.executable, "-m", "balancebot", "run")
_ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture(autouse=True)
def _pages_and_a_limit(firm: Firm, balancebot: Run) -> None:
    """Checkout is critical below 1,000, and there are pages."""
    firm.also('[web]\nlisten = "127.0.0.1:0"\n')
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")


class _Process:
    """`balancebot run`, watched."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                _COMMAND, cwd=folder, env=_ENVIRONMENT, stderr=log, stdin=subprocess.DEVNULL
            )

    def lines(self) -> list[dict[str, Any]]:
        text = self._log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def address(self) -> str:
        started = _until(lambda: [line for line in self.lines() if line["event"] == "run.started"])
        return str(started[-1]["pages"])

    def end(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(_PATIENCE)


@contextmanager
def _running(folder: Path) -> Iterator[_Process]:
    process = _Process(folder)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


def _until(holds: Callable[[], Any], patience: float = _PATIENCE) -> Any:
    end = time.monotonic() + patience
    while True:
        answer = holds()
        if answer:
            return answer
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _refused(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _COMMAND,
        cwd=folder,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )


def _events(process: _Process) -> list[str]:
    return [line["event"] for line in process.lines()]


def test_it_tells_at_once_and_ends_when_asked_to(firm: Firm, tmp_path: Path) -> None:
    with _running(tmp_path) as process:
        _until(lambda: "poll.cycle" in _events(process))
        firm.has(900)
        _until(lambda: firm.slack.messages("ops-alerts") and firm.mail.mails)
        assert 0 == process.end()
    assert ("run.stopped", True) == (_events(process)[-1], process.lines()[-1]["finished"])


def test_a_button_of_its_message_changes_that_message(firm: Firm, tmp_path: Path) -> None:
    firm.listens()
    firm.has(900)
    with _running(tmp_path) as process:
        firm.slack.socket.wait_for_sockets(1)
        (message,) = _until(lambda: firm.slack.messages("ops-alerts"))
        (buttons,) = [block for block in message["blocks"] if block["type"] == "actions"]
        acknowledge = buttons["elements"][0]
        firm.slack.socket.deliver(click(acknowledge["action_id"], acknowledge["value"]))
        _until(lambda: "oncall (U000ONCALL)" in str(firm.slack.messages("ops-alerts")[0]["blocks"]))
        assert 0 == process.end()
        assert "stop.unfinished" not in _events(process)


def test_what_was_told_before_a_stop_or_a_kill_is_not_told_again(firm: Firm, tmp_path: Path) -> None:
    firm.has(900)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        with _running(tmp_path) as process:
            _until(lambda: firm.slack.messages("ops-alerts") and firm.mail.mails)
            cycles = _events(process).count("poll.cycle")
            _until(lambda: _events(process).count("poll.cycle") > cycles + 1)  # noqa: B023 -- called at once
            process.end(number)
    assert (1, 1) == (len(firm.slack.messages("ops-alerts")), len(firm.mail.mails))


def test_the_doors_tell_machines_how_it_stands(firm: Firm, tmp_path: Path) -> None:
    with _running(tmp_path) as process, httpx.Client(base_url=process.address(), trust_env=False) as door:
        _until(lambda: door.get("/readyz").status_code == 200)
        assert 200 == door.get("/healthz").status_code
        text = _until(
            lambda: (found := door.get("/metrics").text) and "balancebot_balance{" in found and found
        )
    assert 'balancebot_balance{account="acme",app="",category="industry"} 50000.0' in text
    assert 'balancebot_balance{account="acme",app="checkout",category="industry"} 100000.0' in text
    assert 'category="voice"' not in text
    assert 'balancebot_polls_total{outcome="ok"}' in text
    assert 'balancebot_alerts_open{kind="low_balance",severity="critical"} 0.0' in text
    assert "balancebot_outbox_pending 0.0" in text
    for name in ("poll_duration_seconds_count", "last_cycle_timestamp_seconds"):
        assert f"\nbalancebot_{name} " in text


def test_a_second_one_on_the_same_file_is_refused_and_a_poll_is_not(
    firm: Firm, tmp_path: Path, balancebot: Run
) -> None:
    with _running(tmp_path) as process:
        process.address()
        second = _refused(tmp_path)
        assert (1, "") == (second.returncode, second.stdout)
        assert "another `balancebot run` is at work on it" in second.stderr
        assert 1 == len(second.stderr.splitlines())
        assert 0 == balancebot("poll").status


@pytest.mark.timing
def test_a_server_that_hangs_does_not_hold_the_end(firm: Firm, tmp_path: Path) -> None:
    firm.config.write_text(firm.config.read_text().replace('timeout = "2s"', 'timeout = "60s"'))
    firm.jsms.fail("*", SimulatedFault(kind=FaultKind.SILENCE))
    with _running(tmp_path) as process:
        process.address()
        _until(lambda: firm.jsms.requests)
        began = time.monotonic()
        assert 0 == process.end()
        assert time.monotonic() - began < 10


def test_an_address_that_is_taken_is_told_in_a_line(firm: Firm, tmp_path: Path) -> None:
    port = firm.mail.port
    firm.config.write_text(firm.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    done = _refused(tmp_path)
    assert 1 == done.returncode
    assert "[web].listen" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timing
def test_a_locked_database_does_not_hold_the_end(firm: Firm, tmp_path: Path) -> None:
    with _running(tmp_path) as process:
        process.address()
        with sqlite3.connect(tmp_path / "balancebot.db", isolation_level=None) as locked:
            locked.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            assert 0 == process.end()
            assert time.monotonic() - began < 10


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="makes a process with the number 1"
)
@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0])
def test_as_the_first_process_it_ends_however_early_it_is_told(
    firm: Firm, tmp_path: Path, seconds: float
) -> None:
    """The first process of a container is not ended by a signal that it doesn't handle."""
    outer = subprocess.Popen(
        ("unshare", "--pid", "--fork", "--kill-child", *_COMMAND),
        cwd=tmp_path,
        env=_ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    try:
        (inner,) = _until(lambda: _children_of(outer.pid))
        _until(lambda: _handles_sigterm(inner))
        time.sleep(seconds)
        os.kill(inner, signal.SIGTERM)
        assert 0 == outer.wait(_PATIENCE)
    finally:
        outer.kill()
        outer.wait()


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
