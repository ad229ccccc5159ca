"""Runs `make bench`: every figure with its bound and a comparison, in one run. Writes them into docs/performance.md.

    python -m benchmarks report [--only startup,cycle] [--keep]

Runs the other benchmarks one after the other, with sizes that take about ten minutes in total, and reads the figures
from their output. `--only` measures some of them again and keeps the other rows of the table; `--keep` writes nothing.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent.parent
PAGE = HERE / "docs" / "performance.md"
BEGIN, END = "<!-- begin: make bench -->\n", "<!-- end: make bench -->\n"
HEAD = "| | measured | aim | beside it | load |\n| --- | ---: | ---: | --- | ---: |\n"
"""The load is the machine's when the figure was taken, including that of other programs."""


class Figure(NamedTuple):
    """One row of the table."""

    title: str
    pattern: str
    """Finds the figures in the output of the benchmark; its first group is a number."""
    show: str
    """The format of the median of the figures."""
    aim: str = ""
    beside: str = ""
    """The bound or the comparison; `{}` in it is the median of what `rival` finds."""
    rival: str = ""
    of_all: Callable[[list[float]], float] = statistics.median


class Run(NamedTuple):
    """One call of a benchmark, and the figures of its output."""

    name: str
    options: str
    figures: tuple[Figure, ...]


_COMMAND = r" +\d+ +\d+ +([\d.]+)x"
"""Of startup.py: once without a daemon; twice also with one."""

RUNS = (
    Run(
        "startup",
        "--rounds 5",
        (
            Figure(
                "`--help`",
                rf"^--help{_COMMAND}",
                "{:.1f} x",
                "≤ 3 x",
                "bare Python: {:.0f} ms",
                r"^bare +(\d+)",
            ),
            Figure("`status`, alone", rf"^status{_COMMAND}", "{:.0f} x", "", "importing SQLAlchemy: 15 x"),
            Figure(
                "`status`, beside `run`",
                rf"^status{_COMMAND}{_COMMAND}".replace("(", "(?:", 1),
                "{:.1f} x",
                "≤ 8 x",
            ),
            Figure(
                "`thresholds set`, beside `run`",
                rf"^thresholds .*?{_COMMAND}{_COMMAND}".replace("(", "(?:", 1),
                "{:.1f} x",
                "≤ 8 x",
            ),
        ),
    ),
    Run(
        "cycle",
        "--wallets 1000 --connections 50 --cycles 14",
        (
            Figure(
                "cycle, 1,000 wallets, 50 ms, 50 connections",
                r"^ +[1-9]\d* +[\d.]+ +([\d.]+) ",
                "{:.2f} x",
                "≤ 1.15 x",
                "the bound: 1.00 s",
            ),
            Figure(
                "CPU per wallet and cycle, over a day", r"over a day: ([\d.]+) ms", "{:.2f} ms", "≤ 0.6 ms"
            ),
        ),
    ),
    Run(
        "fetch",
        "--wallets 1000 --connections 50 --cycles 3 --only balancebot,httpx-aiohttp",
        (
            Figure(
                "fetching alone, 1,000 wallets",
                r"^balancebot +[2-9] +[\d.]+ +([\d.]+)",
                "{:.2f} x",
                "",
                "httpx over aiohttp by itself: {:.2f} x",
                r"^httpx-aiohttp +[2-9] +[\d.]+ +([\d.]+)",
            ),
            Figure(
                "CPU per request, fetching alone",
                r"^balancebot +[2-9] +[\d.]+ +[\d.]+ +([\d.]+)",
                "{:.2f} ms",
                "",
                "httpx over aiohttp by itself: {:.2f} ms",
                r"^httpx-aiohttp +[2-9] +[\d.]+ +[\d.]+ +([\d.]+)",
            ),
        ),
    ),
    Run(
        "cycle",
        "--wallets 10000 --connections 100 --cycles 4",
        (
            Figure(
                "cycle, 10,000 wallets, 50 ms, 100 connections",
                r"^ +[1-9]\d* +[\d.]+ +([\d.]+) ",
                "{:.2f} x",
                "≤ 1.25 x",
                "the bound: 5.0 s",
            ),
            Figure(
                "lost of 10,000 in any cycle",
                r"^ +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +(\d+)",
                "{:.0f}",
                "0",
                of_all=max,
            ),
        ),
    ),
    Run(
        "memory",
        "--wallets 1000",
        (
            Figure(
                "`run`, 1,000 wallets, resident", r"^run after \d+ cycles: (\d+) MB", "{:.0f} MB", "≤ 90 MB"
            ),
            Figure(
                "one `poll` of 1,000 wallets, whole process",
                r"^second poll: ([\d.]+) s",
                "{:.1f} s",
                "≤ 1.7 s",
                "the bound: 1.00 s",
            ),
        ),
    ),
    Run(
        "prometheus",
        "--wallets 1000 --seconds 45",
        (
            Figure(
                "Prometheus and Alertmanager, the same wallets, resident",
                r"(\d+) MB resident",
                "{:.0f} MB",
                "",
                "with Alertmanager and the exporter",
            ),
            Figure(
                "Prometheus and Alertmanager, CPU a minute",
                r"([\d.]+) s of CPU",
                "{:.1f} s",
                "",
                "balances every 15 s, without asking JSMS",
            ),
            Figure(
                "Prometheus and Alertmanager, drop to webhook",
                r"webhook: ([\d.]+) s",
                "{:.0f} s",
                "",
                "at the usual 15 s, without the usual `group_wait` of 30 s",
            ),
        ),
    ),
    Run(
        "latency",
        "--drops 100",
        (
            Figure("drop to Slack, one by one, p99", r"^one by one.*p99 ([\d.]+) s", "{:.2f} s", "≤ 0.2 s"),
            Figure(
                "drop to Slack, 100 at once, p99",
                r"^a hundred at once.*p99 ([\d.]+) s",
                "{:.2f} s",
                "≤ 0.5 s",
            ),
            Figure(
                "start to first alert, 1,000 wallets",
                r"first alert, 1,000 wallets: [\d., s]*?([\d.]+) s$",
                "{:.1f} s",
                "≤ 1.2 s",
                "the slowest of five",
            ),
        ),
    ),
    Run(
        "store",
        "--wallets 200 --years 3 --cycles 4",
        (
            Figure(
                "disk per wallet and year, 5-minute readings",
                r"^disk per wallet and year, packed: ([\d.]+)",
                "{:.2f} MB",
                "≤ 0.2 MB",
                "in rows: {:.2f} MB",
                r"^disk per wallet and year, in rows: ([\d.]+)",
            ),
            Figure(
                "storing a cycle, per wallet, a year behind it",
                r"^sum +[\d.]+ +([\d.]+)",
                "{:.0f} µs",
                "",
                "nothing behind it: {:.0f} µs",
                r"^sum +([\d.]+)",
            ),
        ),
    ),
    Run(
        "apps_file",
        "",
        (
            Figure(
                "100,000 apps in a file, read and checked",
                r"^read and check.* ([\d.]+)$",
                "{:.1f} s",
                "≤ 3 s",
            ),
        ),
    ),
)


def measure(run: Run) -> list[str]:
    """Run one benchmark; return its rows."""
    print(f"{run.name} {run.options}", file=sys.stderr, flush=True)
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", run.name, *run.options.split()],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(ended.stdout, file=sys.stderr, flush=True)
    return [row(figure, ended.stdout) for figure in run.figures]


def row(figure: Figure, printed: str) -> str:
    """Return a figure as a row of the table."""
    found = _found(figure.pattern, printed)
    shown = figure.show.format(figure.of_all(found)) if found else "not measured"
    beside = figure.beside
    if figure.rival:
        rival = _found(figure.rival, printed)
        beside = beside.format(statistics.median(rival)) if rival else ""
    return f"| {figure.title} | {shown} | {figure.aim} | {beside} | {os.getloadavg()[0]:.0f} |"


def _found(pattern: str, printed: str) -> list[float]:
    return [float(text) for text in re.findall(pattern, printed, re.MULTILINE)]


def write(rows: list[str]) -> None:
    """Replace the rows of the page's table that have the same titles."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    kept, _, after = rest.partition(END)
    by_title = {_title(line): line for line in kept.splitlines()[2:] if line} | {
        _title(line): line for line in rows
    }
    ordered = [figure.title for run in RUNS for figure in run.figures]
    table = HEAD + "".join(f"{by_title[title]}\n" for title in ordered if title in by_title)
    PAGE.write_text(f"{before}{begin}{table}{END}{after}", encoding="utf-8")


def _title(line: str) -> str:
    return line.split(" | ", maxsplit=1)[0].removeprefix("| ")


def main() -> None:
    """Parse the command line and run."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", help="names of benchmarks, with commas between")
    options.add_argument("--keep", action="store_true", help="print the figures and write nothing")
    chosen = options.parse_args()
    wanted = chosen.only.split(",") if chosen.only else [run.name for run in RUNS]
    print(HEAD, end="")
    for run in RUNS:
        if run.name in wanted:
            rows = measure(run)
            print("\n".join(rows), flush=True)
            if not chosen.keep:
                write(rows)


if __name__ == "__main__":
    main()
