"""Pages and commands with a year of history and past alerts of many wallets.

    python -m benchmarks year [--wallets 10000] [--shapes 20]

The year is generated for a few wallets, like in `store`, and copied with its usage models to all others. Each wallet
has four past alerts. Prints kilobytes and the median and slowest of three requests of every page, in milliseconds, and
the seconds and CPU seconds of every command in a separate process. Exits with 1 if a page takes a second or more, or a
command ten.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import insert, text

from balancebot.app import build_app
from balancebot.config import Settings, load
from balancebot.domain.alert import AlertKind, Cause
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.message import NO_CONTEXT, Measurement
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity
from balancebot.estimates.refit import refit_models
from balancebot.store import readings, tables, usage, wallets
from balancebot.store.database import Database
from balancebot.web.app import create_pages
from balancebot.web.server import serve
from benchmarks.store import pack_all, write_year
from benchmarks.web import add_admin, asked, fill, log_in, names, set_limits, timed

ALERTS_PER_WALLET = 4
SLOW_PAGE, SLOW_COMMAND = 1000.0, 10.0
FURTHER_PAGES = ("/orders/advice", "/orders", "/statements", "/channels", "/alerts?show=past&page=50")


def configure(folder: Path, watched: list[WalletName]) -> Settings:
    """Write a configuration with one account, and return its settings."""
    (folder / "apps.csv").write_text(
        "name,app_key,master_secret\n"
        + "".join(f"{name.partition('/')[2]},key {name},secret\n" for name in watched[1:])
    )
    file = folder / "balancebot.toml"
    file.write_text(
        '[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\napps_file = "apps.csv"\n'
        '[[digests]]\nname = "weekly"\ncron = "0 9 * * 1"\nto = ["finance@example.com"]\n'
        '[email]\nhost = "127.0.0.1"\nfrom = "bot@example.com"\n'
        '[web]\nlisten = "127.0.0.1:0"\npublic_url = "http://127.0.0.1"\nsecret_key = "a key of thirty-two characters...."\n'
    )
    for path in folder.iterdir():
        path.chmod(0o600)
    settings = load(file, environ={}, resolve_secrets=True)
    if not isinstance(settings, Settings):
        raise SystemExit("\n".join(map(str, settings)))
    return settings


def copy_year(database: Database, *, shapes: int, wanted: int) -> None:
    """Copy the history and the models of the first wallets to all others."""
    history = (usage.PACKED.rows, usage.PACKED.days, readings.PACKED.rows, readings.PACKED.days)
    for table in (*history, tables.burn_models):
        others = ", ".join(column.name for column in table.columns if column.name != "wallet_id")
        key = ", ".join(column.name for column in table.primary_key)
        copy = (
            "WITH RECURSIVE copies(more) AS (SELECT :shapes UNION ALL SELECT more + :shapes FROM copies "
            "WHERE more + :shapes < :wanted) "
            f"INSERT INTO {table.name} (wallet_id, {others}) SELECT wallet_id + more AS wallet_id, {others} "
            f"FROM (SELECT * FROM {table.name} WHERE wallet_id <= :shapes) JOIN copies "
            f"WHERE wallet_id + more <= :wanted ORDER BY {key}"  # rows in the order of the primary key are quick to insert
        )
        with database.write() as conn:
            conn.execute(text(copy), {"shapes": shapes, "wanted": wanted})


def past_alerts(watched: list[WalletName], now: datetime) -> Iterator[dict[str, object]]:
    """Yield the rows of alerts that opened and recovered within the year."""
    for number, name in enumerate(watched):
        for quarter in range(ALERTS_PER_WALLET):
            opened = now - timedelta(days=5 + quarter * 90, seconds=number)
            yield {
                "kind": AlertKind.LOW_BALANCE.value,
                "wallet": name,
                "category": Category.INDUSTRY.value,
                "severity": Severity.OK.word,
                "peak": Severity.WARNING.word,
                "opened_at": opened,
                "closed_at": opened + timedelta(hours=9),
                "closed_because": Cause.ROSE.value,
                "opened_by_days": False,
                "limits": Limits(warning_below=5_000),
                "measurement": Measurement(at=opened, reading=4_900, observed_at=opened, burn_per_day=800.0),
                "context": NO_CONTEXT,
            }


def make_year(database: Database, watched: list[WalletName], shapes: int, now: datetime) -> None:
    """Fill an empty database."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    fill(database, watched, now)
    set_limits(database, watched)
    with database.read() as conn:
        rows = [row for row in wallets.all_wallets(conn) if row.id <= shapes]
    write_year(database, {row.name: row.id for row in rows}, midnight)
    pack_all(database, midnight)
    refit_models(database, rows, zone="UTC", from_scratch=True)
    copy_year(database, shapes=shapes, wanted=len(watched))
    with database.write() as conn:
        conn.execute(insert(tables.alerts), list(past_alerts(watched, now)))
    add_admin(database, now)


def measure_pages(settings: Settings, database: Database, wallet: WalletName) -> bool:
    """Request every page; return whether all were quick."""
    quick = True
    server = serve(create_pages(build_app(settings, database), metrics=bytes), host="127.0.0.1", port=0)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=600) as client:
        log_in(client)
        print(f"{'page':<42}{'KB':>8}{'median ms':>11}{'slowest ms':>11}")
        for name, address in (*asked(wallet), *zip(FURTHER_PAGES, FURTHER_PAGES, strict=True)):
            size, taken = timed(lambda address=address: client.get(address), 3)  # type: ignore[misc]
            median, slowest = sorted(taken)[1:]
            quick &= median < SLOW_PAGE
            print(f"{name:<42}{size:>8.1f}{median:>11.1f}{slowest:>11.1f}", flush=True)
    server.stop()
    return quick


def measure_commands(folder: Path, wallet: WalletName, now: datetime) -> bool:
    """Run every command that reads; return whether all were quick."""
    last_month = (now.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    commands = (
        ["status"],
        ["status", f"{wallet}"],
        ["status", "--json"],
        ["alerts", "list"],
        ["alerts", "list", "--all"],
        ["why", f"{wallet}:industry"],
        ["advise"],
        ["advise", "--xlsx", "advice.xlsx"],
        ["statement", last_month],
        ["statement", last_month, "--by", "owner"],
        ["statement", last_month, "--by", "day", "--account", "acme"],
        ["statement", last_month, "--xlsx", "statement.xlsx"],
        ["digest", "preview", "weekly"],
        ["thresholds", "list"],
        ["thresholds", "preview", f"{wallet}", "industry", "--warning-below", "9000"],
        ["deliveries", "list"],
        ["db", "check"],
    )
    quick = True
    print(f"\n{'command':<62}{'seconds':>9}{'CPU':>8}")
    for command in commands:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "balancebot", *command],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        error_output = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        failed = f"  exit {os.waitstatus_to_exitcode(status)} {error_output[-100:]!r}" if status else ""
        quick &= took < SLOW_COMMAND
        print(
            f"{' '.join(command):<62}{took:>9.2f}{used.ru_utime + used.ru_stime:>8.2f}{failed}",
            flush=True,
        )
    return quick


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wallets", type=int, default=10_000)
    parser.add_argument("--shapes", type=int, default=20, help="for how many wallets a year is made")
    options = parser.parse_args()
    watched, now = names(options.wallets), datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="year") as name:
        folder = Path(name)
        settings = configure(folder, watched)
        database = Database(settings.database.url.reveal())
        database.upgrade()
        began = time.perf_counter()
        make_year(database, watched, options.shapes, now)
        size = sum(file.stat().st_size for file in folder.glob("balancebot.db*"))
        print(
            f"{len(watched):,} wallets: {size / 1e6:,.0f} MB, made in {time.perf_counter() - began:.0f} s\n",
            flush=True,
        )
        quick = measure_pages(settings, database, watched[1])
        quick &= measure_commands(folder, watched[1], now)
    return int(not quick)


if __name__ == "__main__":
    sys.exit(main())
