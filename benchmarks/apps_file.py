"""An apps file with 100,000 apps: read, checked, stored, checked unchanged, and changed while the bot runs; CPU
seconds.

    python benchmarks/apps_file.py [--apps 100000]

All keys begin with the same characters, as those of one reseller may. Nothing is fetched.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from balancebot.app import build_app
from balancebot.config import Settings, load
from balancebot.redact import Redactor
from balancebot.store import wallets
from balancebot.store.database import Database


def write(file: Path, num: int) -> None:
    """Write `num` apps."""
    file.write_text(
        "name,app_key,master_secret,owner\n"
        + "".join(f"app-{app:06},{app:024x},{app + 7:024x},team {app % 50}\n" for app in range(num))
    )
    file.chmod(0o600)


def timed(what: str, act: Callable[[], object]) -> None:
    """Call `act`, and print its cost."""
    begun = time.process_time()
    act()
    print(f"{what:<55}{time.process_time() - begun:9.4f}", flush=True)


def settings_of(file: Path) -> Settings:
    """Return the settings with their secrets."""
    found = load(file, environ={}, resolve_secrets=True)
    if isinstance(found, tuple):
        raise SystemExit("\n".join(map(str, found)))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--apps", type=int, default=100_000)
    num = options.parse_args().apps
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "balancebot.toml"
        file.write_text('[[accounts]]\nname = "acme"\napps_file = "apps.csv"\n')
        write(folder / "apps.csv", num)
        timed("read and check the configuration", lambda: settings_of(file))
        settings = settings_of(file)
        timed("hide their secrets", lambda: Redactor.of(settings))
        database = Database(settings.database.url.reveal())
        database.upgrade()
        app = build_app(settings, database)
        timed("make the wallets known", app.sync_wallets)
        timed("connect to nothing, but know every key", lambda: app.source)
        timed("look at the file for the first time", app.reread_apps)
        timed("look at it unchanged", app.reread_apps)
        write(folder / "apps.csv", num + 10)
        app.reread_apps()  # a version is used when two checks have found it
        timed("take a version with ten more apps", app.reread_apps)
        with database.read() as conn:
            print(f"{wallets.count(conn)} wallets are known")
        app.close()


if __name__ == "__main__":
    main()
