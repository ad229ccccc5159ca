"""For comparison: Prometheus with an exporter and `predict_linear` for as many wallets; memory, CPU, drop to alert.

    python benchmarks/prometheus.py [--wallets 1000] [--seconds 60]

The exporter is a process of its own with four balances per wallet, which fall; Prometheus scrapes it and evaluates a
rule every 15 seconds, its usual interval. The measured time ends when the alert fires. Alertmanager, which groups and
sends it, comes in addition, and so does an exporter that somebody must write.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from memory import _RESIDENT, megabytes
from replicas import processor_seconds

RULES = """\
groups:
  - name: balances
    rules:
      - alert: RunsDry
        expr: predict_linear(balance[6h], 7 * 86400) < 0 or balance < 1
"""


class Exporter(BaseHTTPRequestHandler):
    """Serves the balances; when a certain file appears, one of them becomes 0."""

    wallets = 0
    drop = Path()

    def do_GET(self) -> None:
        fallen = time.monotonic() / 10
        lines = [
            f'balance{{app="app-{number}",category="{category}"}} {900_000 - fallen:.0f}'
            for number in range(self.wallets)
            for category in ("universal", "voice", "industry", "market")
        ]
        if self.drop.exists():
            lines[0] = 'balance{app="app-0",category="universal"} 0'
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(("\n".join(lines) + "\n").encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def serve(num_wallets: int, drop: str) -> None:
    """Serve until killed; print the port first."""
    Exporter.wallets, Exporter.drop = num_wallets, Path(drop)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    print(server.server_port, flush=True)
    server.serve_forever()


def has_alert(port: int) -> bool:
    """Return whether an alert fires."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts", timeout=5) as answer:
            alerts = json.load(answer)["data"]["alerts"]
    except OSError:
        return False
    return any(alert["state"] == "firing" and alert["labels"]["app"] == "app-0" for alert in alerts)


def measure(folder: Path, num_wallets: int, seconds: float) -> None:
    """Run both, and print what Prometheus needs."""
    drop = folder / "drop"
    command = [sys.executable, __file__, "--serve", str(drop), "--wallets", str(num_wallets)]
    exporter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = 19_000 + os.getpid() % 1_000
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 15s, evaluation_interval: 15s}\nrule_files: [rules.yml]\nscrape_configs:\n"
        f'  - job_name: balances\n    static_configs: [{{targets: ["127.0.0.1:{exporter.stdout.readline().strip()}"]}}]\n'
    )
    prometheus = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(35)
        before = processor_seconds([prometheus.pid])
        time.sleep(seconds)
        took = (processor_seconds([prometheus.pid]) - before) * 60 / seconds
        print(
            f"{num_wallets} wallets: {megabytes(prometheus.pid, _RESIDENT):.0f} MB resident, {took:.2f} s of CPU a minute"
        )
        drop.touch()
        begun = time.monotonic()
        while not has_alert(port) and time.monotonic() < begun + 120:
            time.sleep(0.2)
        print(f"from the drop to the alert that fires: {time.monotonic() - begun:.1f} s")
    finally:
        for process in (prometheus, exporter):
            process.terminate()
            process.wait(20)


def main() -> None:
    """Parse the command line and measure."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wallets", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve(chosen.wallets, chosen.serve)
        return
    if shutil.which("prometheus") is None:
        raise SystemExit("Prometheus is not installed")
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), chosen.wallets, chosen.seconds)


if __name__ == "__main__":
    main()
