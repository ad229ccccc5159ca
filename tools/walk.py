"""Measures the way of a newcomer from an empty folder to the first alert, with the commands of the README.

    python tools/walk.py            # clones, installs, runs the commands below "Start", and prints the seconds of each step
    python tools/walk.py --list     # prints the commands only

Needs git, the network for pip, and the two ports that the README names. The seconds are the machine's: reading and typing
come on top. It ends with status 1 where a command fails or no alert comes.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ACTIVATE = ". venv/bin/activate"
PATIENCE = 600.0
"""The longest that any step may take, in seconds."""


def commands() -> tuple[list[str], str, list[str]]:
    """Return the README's commands: those for the installation, the simulator, and the bot."""
    start = (ROOT / "README.md").read_text().partition("\n## Start\n")[2].partition("\n## ")[0]
    first, simulate, watch = (
        [line.partition("  #")[0].strip() for line in block.splitlines()]
        for block in re.findall(r"```console\n(.*?)```", start, re.DOTALL)[:3]
    )
    installs = next(number for number, line in enumerate(first, 1) if line.startswith("pip install"))
    (simulator,) = simulate
    return first[:installs], simulator, watch


class Walk:
    """The steps so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[tuple[str, float]] = []

    def do(self, name: str, step: Callable[[], Any]) -> Any:
        """Run a step, and print its duration."""
        began = time.monotonic()
        answer = step()
        self.steps.append((name, time.monotonic() - began))
        print(f"{self.steps[-1][1]:7.1f} s  {name}", flush=True)
        return answer

    def shell(self, line: str, *, activated: bool = True) -> str:
        """Run one line as a newcomer's shell would, and return what it prints."""
        done = subprocess.run(
            ["bash", "-c", f"{ACTIVATE} && {line}" if activated else line],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            sys.exit(f"{line!r} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, line: str, log: Path, running: ExitStack) -> subprocess.Popen[bytes]:
        """Run one line in a separate process until the end of the walk."""
        file = running.enter_context(log.open("wb"))
        process = subprocess.Popen(
            ["bash", "-c", f"{ACTIVATE} && exec {line}"],
            cwd=self.folder,
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
        )
        running.callback(process.wait)
        running.callback(process.terminate)
        return process


def until(holds: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    """Return what `holds` answers as soon as it is true; end the walk if the process ends or nothing comes."""
    end = time.monotonic() + PATIENCE
    while not (answer := holds()):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"it ended, or nothing came:\n{log.read_text()}")
        time.sleep(0.1)
    return answer


def status_of(page: str) -> int:
    """Return the status of a page; 0 without an answer."""
    try:
        with urllib.request.urlopen(page, timeout=10) as answer:
            return int(answer.status)
    except OSError:
        return 0


def walk(folder: Path) -> None:
    """Run all steps in an empty folder."""
    (make, install), simulate, (*prepare, run) = commands()
    steps = Walk(folder / "balancebot")
    clone = f"git clone --quiet {ROOT} balancebot"
    steps.do(
        "git clone", lambda: subprocess.run(clone.split(), cwd=folder, check=True, stdin=subprocess.DEVNULL)
    )
    steps.do(make, lambda: steps.shell(make, activated=False))
    steps.do(install, lambda: steps.shell(install))
    with ExitStack() as running:
        log = folder / "simulate.log"
        simulator = steps.start(simulate, log, running)
        steps.do(simulate, lambda: until(lambda: "serving" in log.read_text(), simulator, log))
        for line in prepare:
            steps.do(line, lambda line=line: steps.shell(line))
        log_of_run = folder / "run.log"
        bot = steps.start(run, log_of_run, running)
        page = re.search(r'listen = "([^"]+)"', " ".join(prepare))
        assert page is not None, "the README names no address of the pages"
        address = f"http://{page[1]}/login"
        steps.do(
            f"{run}: the pages answer", lambda: until(lambda: status_of(address) == 200, bot, log_of_run)
        )

        def alerts() -> Any:
            return json.loads(steps.shell("balancebot alerts list --json"))["alerts"]

        (alert, *_) = steps.do(f"{run}: the first alert", lambda: until(alerts, bot, log_of_run))
    print(f"{sum(seconds for _, seconds in steps.steps):7.1f} s  in all, {len(steps.steps)} steps")
    print(f"\n{alert['severity']}: {alert['wallet']} {alert['category']}, {alert['reason']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print the commands only")
    if parser.parse_args().list:
        install, simulate, watch = commands()
        print("\n".join([*install, simulate, *watch]))
    else:
        with tempfile.TemporaryDirectory() as empty:
            walk(Path(empty))
