"""`run`: a separate process that reads, notifies, serves pages, ends on a signal, and continues after a restart."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.cli.conftest import Outcome
from tests.cli.daemon import COMMAND, ENVIRONMENT, DaemonProcess, running, until
from tests.cli.firm import CHECKOUT, Firm
from tests.notify.slack.envelopes import click
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _pages_and_a_limit(firm: Firm, balancebot: Run) -> None:
    """Checkout is critical below 1,000, and there are pages."""
    firm.also('[web]\nlisten = "127.0.0.1:0"\n')
    balancebot("thresholds", "set", CHECKOUT, "industry", "--critical-below", "1000")


def _refused(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def _events(process: DaemonProcess) -> list[str]:
    return [line["event"] for line in process.lines()]


def test_the_daemon_notifies_immediately_and_ends_on_a_signal(firm: Firm, tmp_path: Path) -> None:
    with running(tmp_path) as process:
        until(lambda: "poll.cycle" in _events(process))
        firm.has(900)
        until(lambda: firm.slack.messages("ops-alerts") and firm.mail.mails)
        assert 0 == process.end()
    assert ("run.stopped", True) == (_events(process)[-1], process.lines()[-1]["finished"])


def test_without_users_the_daemon_logs_a_link_that_creates_the_first_admin(
    firm: Firm, tmp_path: Path
) -> None:
    with running(tmp_path) as process, httpx.Client(base_url=process.address(), trust_env=False) as door:
        (link,) = until(
            lambda: [line["link"] for line in process.lines() if line["event"] == "run.setup_link"]
        )
        page = door.get(f"/setup?{link.partition('?')[2]}")
        assert (200, True) == (page.status_code, "Make the first admin" in page.text)
        assert 0 == process.end()


def test_a_service_manager_is_notified_when_it_is_ready_alive_and_stopping(
    firm: Firm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setitem(ENVIRONMENT, "NOTIFY_SOCKET", str(tmp_path / "notify"))
        with running(tmp_path) as process:
            notified = {manager.recv(64) for _ in range(2)}
            assert {b"READY=1", b"WATCHDOG=1"} == notified
            assert 0 == process.end()
        manager.setblocking(False)
        rest = []
        with suppress(BlockingIOError):
            while True:
                rest.append(manager.recv(64))
    assert b"STOPPING=1" in rest


def test_a_button_of_a_message_edits_that_message(firm: Firm, tmp_path: Path) -> None:
    firm.listens()
    firm.has(900)
    with running(tmp_path) as process:
        firm.slack.socket.wait_for_sockets(1)
        (message,) = until(lambda: firm.slack.messages("ops-alerts"))
        (buttons,) = [block for block in message["blocks"] if block["type"] == "actions"]
        acknowledge = buttons["elements"][0]
        firm.slack.socket.deliver(click(acknowledge["action_id"], acknowledge["value"]))
        until(lambda: "oncall (U000ONCALL)" in str(firm.slack.messages("ops-alerts")[0]["blocks"]))
        assert 0 == process.end()
        assert "stop.unfinished" not in _events(process)


def test_what_was_sent_before_a_stop_or_a_kill_is_not_sent_again(firm: Firm, tmp_path: Path) -> None:
    firm.has(900)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        with running(tmp_path) as process:
            until(lambda: firm.slack.messages("ops-alerts") and firm.mail.mails)
            cycles = _events(process).count("poll.cycle")
            until(lambda: _events(process).count("poll.cycle") > cycles + 1)  # noqa: B023 -- called at once
            process.end(number)
    assert (1, 1) == (len(firm.slack.messages("ops-alerts")), len(firm.mail.mails))


def test_the_health_endpoints_report_the_state(firm: Firm, tmp_path: Path) -> None:
    with running(tmp_path) as process, httpx.Client(base_url=process.address(), trust_env=False) as door:
        until(lambda: door.get("/readyz").status_code == 200)
        assert 200 == door.get("/healthz").status_code
        text = until(
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


def test_a_second_daemon_on_the_same_file_is_refused_and_a_poll_is_not(
    firm: Firm, tmp_path: Path, balancebot: Run
) -> None:
    with running(tmp_path) as process:
        process.address()
        second = _refused(tmp_path)
        assert (1, "") == (second.returncode, second.stdout)
        assert "another `balancebot run` is at work on it" in second.stderr
        assert 1 == len(second.stderr.splitlines())
        assert 0 == balancebot("poll").status


@pytest.mark.timing
def test_a_hanging_server_does_not_delay_the_end(firm: Firm, tmp_path: Path) -> None:
    firm.config.write_text(firm.config.read_text().replace('timeout = "2s"', 'timeout = "60s"'))
    firm.jsms.fail("*", SimulatedFault(kind=FaultKind.SILENCE))
    with running(tmp_path) as process:
        process.address()
        until(lambda: firm.jsms.requests)
        began = time.monotonic()
        assert 0 == process.end()
        assert time.monotonic() - began < 10


def test_an_address_in_use_is_reported_in_one_line(firm: Firm, tmp_path: Path) -> None:
    port = firm.mail.port
    firm.config.write_text(firm.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    done = _refused(tmp_path)
    assert 1 == done.returncode
    assert "[web].listen" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timing
def test_a_locked_database_does_not_delay_the_end(firm: Firm, tmp_path: Path) -> None:
    with running(tmp_path) as process:
        until(lambda: "run.setup_link" in _events(process))  # the last event of the start
        with sqlite3.connect(tmp_path / "balancebot.db", isolation_level=None) as locked:
            locked.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            assert 0 == process.end()
            assert time.monotonic() - began < 10


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="makes a process with the number 1"
)
@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0])
def test_as_the_first_process_of_a_container_the_daemon_ends_even_on_an_early_signal(
    firm: Firm, tmp_path: Path, seconds: float
) -> None:
    """The first process of a container ignores a signal that it doesn't handle."""
    outer = subprocess.Popen(
        ("unshare", "--pid", "--fork", "--kill-child", *COMMAND),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    try:
        (inner,) = until(lambda: _children_of(outer.pid))
        until(lambda: _handles_sigterm(inner))
        time.sleep(seconds)
        os.kill(inner, signal.SIGTERM)
        assert 0 == outer.wait(PATIENCE)
    finally:
        outer.kill()
        outer.wait()


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
