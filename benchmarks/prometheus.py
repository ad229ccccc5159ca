"""For comparison: Prometheus and Alertmanager with an exporter for as many wallets; memory, CPU, drop to webhook.

    python benchmarks/prometheus.py [--wallets 1000] [--seconds 60] [--group-wait 0s]

The exporter, which somebody must write, is a process of its own with four balances per wallet, which fall. Prometheus
scrapes it and evaluates a rule with `predict_linear` every 15 seconds, its usual interval; Alertmanager posts to a
webhook in this process. Memory and CPU are the sums of the three.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
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


class Webhook(BaseHTTPRequestHandler):
    """The receiver of Alertmanager's posts; records when the fallen wallet is in one."""

    fell = threading.Event()

    def do_POST(self) -> None:
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if any(alert["labels"].get("app") == "app-0" for alert in posted["alerts"]):
            self.fell.set()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def measure(folder: Path, num_wallets: int, seconds: float, group_wait: str) -> None:
    """Run all three, and print what they need."""
    drop = folder / "drop"
    command = [sys.executable, __file__, "--serve", str(drop), "--wallets", str(num_wallets)]
    exporter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert exporter.stdout is not None
    target = exporter.stdout.readline().strip()
    webhook = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    port = 19_000 + os.getpid() % 1_000
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 15s, evaluation_interval: 15s}\nrule_files: [rules.yml]\nscrape_configs:\n"
        f'  - job_name: balances\n    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]\n'
        f'alerting:\n  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{port + 1}"]}}]}}]\n'
    )
    (folder / "alertmanager.yml").write_text(
        f"route: {{receiver: hook, group_by: [app], group_wait: {group_wait}}}\nreceivers:\n"
        f'  - name: hook\n    webhook_configs: [{{url: "http://127.0.0.1:{webhook.server_port}/"}}]\n'
    )
    commands = (
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        [
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{port + 1}",
            "--cluster.listen-address=",
        ],
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [exporter, *(subprocess.Popen(command, **quiet) for command in commands)]
    pids = [process.pid for process in processes]
    try:
        time.sleep(35)
        before = processor_seconds(pids)
        time.sleep(seconds)
        took = (processor_seconds(pids) - before) * 60 / seconds
        resident = sum(megabytes(pid, _RESIDENT) for pid in pids)
        print(f"{num_wallets} wallets: {resident:.0f} MB resident, {took:.2f} s of CPU a minute")
        drop.touch()
        begun = time.monotonic()
        is_notified = Webhook.fell.wait(120)
        print(
            f"from the drop to the webhook: {time.monotonic() - begun:.1f} s"
            if is_notified
            else "no webhook in 120 s"
        )
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)


def main() -> None:
    """Parse the command line and measure."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--wallets", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--group-wait", default="0s", help="Alertmanager's usual one is 30s")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve(chosen.wallets, chosen.serve)
        return
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed")
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), chosen.wallets, chosen.seconds, chosen.group_wait)


if __name__ == "__main__":
    main()
