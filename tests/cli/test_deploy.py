"""The monitoring files in `deploy/`: alerting rules that fire on their fault, and a dashboard whose queries all return data.

A real Prometheus does both (Debian's package `prometheus`).
"""

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from balancebot.clock import SystemClock
from tests.cli.conftest import Outcome
from tests.cli.daemon import running, until
from tests.cli.firm import CHECKOUT, Firm

pytestmark = pytest.mark.slow
_DEPLOY = Path(__file__).parents[2] / "deploy"
Run = Callable[..., Outcome]


def test_every_alerting_rule_fires_on_its_fault_and_not_without_one() -> None:
    rules = _DEPLOY / "prometheus"
    subprocess.run(["promtool", "check", "rules", "rules.yaml"], cwd=rules, check=True, capture_output=True)
    subprocess.run(
        ["promtool", "test", "rules", "rules_test.yaml"], cwd=rules, check=True, capture_output=True
    )
    named = set(re.findall(r"- alert: (\w+)", (rules / "rules.yaml").read_text()))
    assert named == set(
        re.findall(r"^        alertname: (\w+)", (rules / "rules_test.yaml").read_text(), re.MULTILINE)
    )


def test_every_query_of_the_dashboard_returns_data_and_the_metrics_are_well_formed(
    firm: Firm, balancebot: Run, tmp_path: Path
) -> None:
    firm.also('[web]\nlisten = "127.0.0.1:0"\n')
    _has_a_past(balancebot, tmp_path)
    with running(tmp_path) as process:
        address = process.address().removeprefix("http://")
        with _prometheus(tmp_path, address) as prometheus:
            for title, query in _queries().items():
                until(lambda: _answer(prometheus, query), f"{title}: {query}")  # noqa: B023 -- called at once
        text = httpx.get(f"http://{address}/metrics", trust_env=False).text
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (0, "") == (checked.returncode, checked.stderr)


def _has_a_past(balancebot: Run, folder: Path) -> None:
    """Import three days in which checkout sent 100 messages an hour."""
    now = SystemClock().now().replace(minute=0, second=0, microsecond=0)
    rows = [
        f"{(now - timedelta(hours=hours)).isoformat()},{CHECKOUT},industry,{100_000 + 100 * hours}"
        for hours in range(72, 0, -1)
    ]
    past = folder / "past.csv"
    past.write_text("\n".join(["observed_at,wallet,category,balance", *rows]) + "\n")
    assert 0 == balancebot("history", "import", str(past)).status


def _queries() -> dict[str, str]:
    """Return the queries of the dashboard with its variables filled in."""
    board = json.loads((_DEPLOY / "grafana" / "balancebot.json").read_text())
    return {
        f"{panel['title']} {target['refId']}": re.sub(r"\$(account|app|category)\b", ".*", target["expr"])
        for panel in board["panels"]
        for target in panel["targets"]
    }


@contextmanager
def _prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run a Prometheus that asks `target` every second; yield its address."""
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: balancebot, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _answer(prometheus: str, query: str) -> list[Any]:
    """Return what Prometheus answers; nothing while it isn't up yet."""
    try:
        answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, trust_env=False)
    except httpx.TransportError:
        return []
    assert answer.status_code in {200, 503}, answer.text
    return list(answer.json()["data"]["result"]) if answer.status_code == 200 else []
