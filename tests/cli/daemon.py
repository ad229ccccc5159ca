"""`balancebot run` as a separate process with its log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

COMMAND = (sys.executable, "-m", "balancebot", "run")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


class DaemonProcess:
    """A process of `balancebot run`, and its log."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                COMMAND, cwd=folder, env=os.environ | ENVIRONMENT, stderr=log, stdin=subprocess.DEVNULL
            )

    def lines(self) -> list[dict[str, Any]]:
        text = self._log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def address(self) -> str:
        started = until(lambda: [line for line in self.lines() if line["event"] == "run.started"])
        return str(started[-1]["pages"])

    def end(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)


@contextmanager
def running(folder: Path) -> Iterator[DaemonProcess]:
    process = DaemonProcess(folder)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


def until(holds: Callable[[], Any], what: str = "it") -> Any:
    """Wait until `holds` returns something true, and return it."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = holds()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
