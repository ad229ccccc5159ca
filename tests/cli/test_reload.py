"""A running daemon loads a changed configuration without a restart, and keeps the old one if the new one is broken."""

import os
import re
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Outcome
from tests.cli.daemon import ENVIRONMENT, DaemonProcess, running, until
from tests.cli.firm import Firm
from tests.notify.slack.envelopes import click
from tests.patience import PATIENCE
from tests.standins.slack_api import Fault

pytestmark = pytest.mark.slow
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _pages_and_a_limit(firm: Firm, balancebot: Run) -> None:
    """Checkout is critical below 1,000, and there are pages."""
    firm.also('[web]\nlisten = "127.0.0.1:0"\n')
    balancebot("thresholds", "set", "acme/checkout", "industry", "--critical-below", "1000")


def _change(firm: Firm, old: str, new: str) -> None:
    text = firm.config.read_text()
    assert old in text
    firm.config.write_text(text.replace(old, new))


def _num_of(process: DaemonProcess, event: str) -> int:
    return sum(line["event"] == event for line in process.lines())


def test_a_reload_applies_routes_accounts_channels_and_intervals(
    firm: Firm, balancebot: Run, tmp_path: Path
) -> None:
    firm.slack.add_channel("finance")
    with running(tmp_path) as process:
        until(lambda: _num_of(process, "poll.cycle"))
        _change(firm, '"#ops-alerts"', '"#finance"')
        _change(firm, 'name = "checkout"', 'name = "shop"')
        firm.also('[log]\nlevel = "debug"\n[quiet]\nhours = "00:00-00:01"\n')
        done = balancebot("reload")
        assert (0, "") == (done.status, done.err)
        assert f"balancebot (pid {process.popen.pid}) works with balancebot.toml\n" == done.out
        balancebot("thresholds", "set", "acme/shop", "industry", "--critical-below", "1000")
        cycles = _num_of(process, "poll.cycle")
        until(
            lambda: _num_of(process, "poll.cycle") > cycles + 1
        )  # one reading may still be as before the reload
        firm.has(900)
        until(lambda: firm.slack.messages("finance"))
        assert [] == firm.slack.messages("ops-alerts")
        assert 0 == process.end()
    assert _num_of(process, "config.reloaded") == 1


def test_a_changed_secret_file_is_read_again_without_loading_the_configuration(
    firm: Firm, tmp_path: Path
) -> None:
    (secret,) = re.findall(r'master_secret = "(.*?)"', firm.config.read_text())
    file = tmp_path / "secret"
    file.write_text("outdated")
    _change(firm, f'"{secret}"', '"file:secret"')
    with running(tmp_path) as process:
        until(lambda: _num_of(process, "wallet.unreadable"))
        firm.config.write_text("[poll\n")  # the file is being edited
        os.replace(_written(tmp_path / "new", secret), file)
        until(lambda: _num_of(process, "wallet.readable_again"))
        file.unlink()
        (refused,) = until(lambda: [line for line in process.lines() if line["event"] == "config.refused"])
        assert [
            "balancebot.toml: accounts[0].apps[0].master_secret: the file secret can't be read: No such file or directory"
        ] == (refused["faults"])
        cycles = _num_of(process, "poll.cycle")
        until(lambda: _num_of(process, "poll.cycle") > cycles + 2)
        assert 0 == process.end()
    assert 1 == _num_of(process, "wallet.unreadable")
    assert secret not in (tmp_path / "log").read_text()


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_broken_configuration_changes_nothing_and_is_reported_everywhere(
    firm: Firm, balancebot: Run, tmp_path: Path
) -> None:
    fault = "balancebot.toml: poll.timeuot: is unknown; did you mean timeout?"
    with running(tmp_path) as process, httpx.Client(base_url=process.address(), trust_env=False) as client:
        until(lambda: client.get("/readyz").text == "ready\n")
        _change(firm, "timeout", "timeuot")
        done = balancebot("reload")
        assert 2 == done.status
        assert [
            fault,
            f"balancebot (pid {process.popen.pid}) refused it, and keeps the configuration that it has",
        ] == (done.err.splitlines())
        ready = client.get("/readyz")
        assert (200, "ready", f"  {fault}") == (
            ready.status_code,
            ready.text.splitlines()[0],
            ready.text.splitlines()[2],
        )
        assert [[fault]] == [line["faults"] for line in process.lines() if line["event"] == "config.refused"]
        status = balancebot("status")
        assert (2, 2) == (status.status, len(status.err.splitlines()))
        assert "keeps the configuration that it has" in status.err
        _change(firm, "timeuot", "timeout")
        assert fault in balancebot("status").out
        assert 0 == balancebot("reload").status
        assert "ready\n" == client.get("/readyz").text
        assert fault not in balancebot("status").out


def test_a_reload_reports_what_needs_a_restart_and_applies_the_rest(firm: Firm, tmp_path: Path) -> None:
    with running(tmp_path) as process, httpx.Client(base_url=process.address(), trust_env=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        _change(firm, "127.0.0.1:0", "127.0.0.1:1")
        firm.also('[database]\nurl = "sqlite:///other.db"\n')
        os.kill(process.popen.pid, signal.SIGHUP)
        (taken,) = until(lambda: [line for line in process.lines() if line["event"] == "config.reloaded"])
        assert ["[database].url", "[web] with its new listen"] == taken["needs_restart"]
        assert "needs a restart: [database].url, [web] with its new listen" in client.get("/readyz").text
        assert not (tmp_path / "other.db").exists()


def test_reloads_at_any_time_lose_nothing_and_send_nothing_twice(firm: Firm, tmp_path: Path) -> None:
    """Slack is slow, so that messages are being sent during each reload."""
    slow = [Fault(delay=0.7)] * 40
    firm.slack.fail_next("chat.postMessage", *slow)
    firm.slack.fail_next("chat.update", *slow)
    with running(tmp_path) as process:
        until(lambda: _num_of(process, "poll.cycle"))
        for turn in range(5):
            firm.has(900 if turn % 2 == 0 else 100_000)
            os.kill(process.popen.pid, signal.SIGHUP)
            until(lambda: _num_of(process, "config.reloaded") > turn)  # noqa: B023 -- called at once
        assert 0 == process.end()
    firm.has(100_000)
    with running(tmp_path) as process:
        until(lambda: _num_of(process, "run.started") == 2)
        until(lambda: _pending(tmp_path) == 0)
        assert 0 == process.end()
    with closing(sqlite3.connect(tmp_path / "balancebot.db")) as database:
        (num_alerts,) = database.execute("SELECT count(*) FROM alerts").fetchone()
    posted = firm.slack.messages("ops-alerts")
    assert num_alerts == len(posted)
    assert len(firm.mail.mails) == len({str(mail.message["Message-ID"]) for mail in firm.mail.mails})
    assert 0 == _num_of(process, "delivery.may_stand_twice")


def _pending(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "balancebot.db")) as database:
        (num,) = database.execute("SELECT count(*) FROM deliveries WHERE settled_at IS NULL").fetchone()
        return int(num)


def test_buttons_work_after_a_reload(firm: Firm, balancebot: Run, tmp_path: Path) -> None:
    firm.listens()
    firm.has(900)
    with running(tmp_path) as process:
        firm.slack.socket.wait_for_sockets(1)
        (message,) = until(lambda: firm.slack.messages("ops-alerts"))
        assert 0 == balancebot("reload").status
        (buttons,) = [block for block in message["blocks"] if block["type"] == "actions"]
        acknowledge = buttons["elements"][0]
        firm.slack.socket.deliver(click(acknowledge["action_id"], acknowledge["value"]))
        until(lambda: "oncall (U000ONCALL)" in str(firm.slack.messages("ops-alerts")[0]["blocks"]))
        assert 0 == process.end()


def test_a_service_manager_is_notified_of_a_reload(
    firm: Firm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setitem(ENVIRONMENT, "NOTIFY_SOCKET", str(tmp_path / "notify"))
        with running(tmp_path) as process:
            until(lambda: manager.recv(64) == b"READY=1")
            os.kill(process.popen.pid, signal.SIGHUP)
            reloading = until(lambda: (found := manager.recv(64)).startswith(b"RELOADING=1") and found)
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
            until(lambda: manager.recv(64) == b"READY=1")


def test_a_reload_without_a_daemon_is_reported(firm: Firm, balancebot: Run) -> None:
    done = balancebot("reload")
    assert (1, "") == (done.status, done.out)
    assert "no `balancebot run` is at work on it on this machine" in done.err


def test_a_file_that_is_not_toml_is_refused_by_the_command(firm: Firm, balancebot: Run) -> None:
    firm.config.write_text("[poll\n")
    done = balancebot("reload")
    assert 2 == done.status
    assert "is no TOML" in done.err
