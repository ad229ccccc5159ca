"""`demo`: all messages in a short time, without a configuration and without leaving files behind."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.slow
_ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
_COMMAND = (sys.executable, "-m", "balancebot", "demo")


def test_the_demo_shows_every_message_and_ends_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        (*_COMMAND, "--once"),
        cwd=tmp_path,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (0, "") == (done.returncode, done.stderr)
    slack = re.findall(r"Slack #ops-alerts.*\n┌─+┐\n│ (.*?) *│\n", done.stdout)
    assert sorted(
        [
            "🟡 Warning · acme/parcels industry",
            "🔴 Critical · acme/campaigns market",
            "🔴 Critical · acme/legacy: credentials rejected",
            "⛔ Depleted · acme/login-codes industry",
        ]
    ) == sorted(line for line in slack if "Recovered" not in line)
    assert ["🟢 Recovered from warning"] == [line[:24] for line in slack if "Recovered" in line]
    assert (1, 4) == (done.stdout.count("E-mail\n"), done.stdout.count("E-mail to finance@example.com: "))
    assert done.stdout.index("Slack #ops-alerts") < done.stdout.index("E-mail")
    assert "`balancebot demo` continues from here" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("│") and "hotline" in line]
    assert done.stdout.rstrip().splitlines()[-5] == "What to do next"
    assert [] == list(tmp_path.iterdir())


def test_the_demo_serves_its_pages_until_it_is_stopped(tmp_path: Path) -> None:
    running = subprocess.Popen(
        (*_COMMAND, "--port", "0"), cwd=tmp_path, env=_ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        line = next(line for line in running.stdout if "log in as" in line)
        address, name, password = re.fullmatch(r"(\S+)  log in as (\S+) with (\S+)\n", line).groups()
        with httpx.Client(base_url=address, trust_env=False) as browser:
            assert 303 == browser.post("/login", data={"name": name, "password": password}).status_code
            assert "acme/login-codes" in browser.get("/").text
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=PATIENCE)
        assert 0 == running.returncode
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()


def test_a_port_in_use_is_reported_before_the_demo_begins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = (*_COMMAND, "--port", str(taken.getsockname()[1]))
        done = subprocess.run(words, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    message = "the pages can't be served there: Address already in use; try --port 0\n"
    assert (1, "", message) == (done.returncode, done.stdout, done.stderr)
