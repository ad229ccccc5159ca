"""`[[accounts]]` and their apps, in the file and in files of their own: names are unique, key pairs whole."""

from pathlib import Path

from balancebot.config import kinds
from balancebot.config.apps_file import read_apps_file
from balancebot.config.secrets import NO_SECRET, Secrets
from balancebot.config.shapes import JSMS_URL, Account, AppConfig, KeyPair
from balancebot.config.shared_keys import existing_file, unique_name
from balancebot.config.table import Fault, Table


def accounts(root: Table, secrets: Secrets) -> tuple[tuple[Account, ...], tuple[Fault, ...]]:
    """`[[accounts]]`: at least one; also the faults of their files of apps, which are named after those files."""
    names: dict[str, str] = {}
    accounts: list[Account] = []
    elsewhere: list[Fault] = []
    for table in root.tables("accounts", needed=True):
        name = unique_name(table, names, kinds.name)
        apps, app_names = _apps(table, secrets)
        keys = (
            _key_pair(table, "dev_key", "dev_secret", secrets)
            if table.has_any("dev_key", "dev_secret")
            else None
        )
        apps_file = existing_file(table, "apps_file", secrets)
        if apps_file is not None:
            listed = read_apps_file(apps_file, secrets=_beside(apps_file, secrets), taken=app_names)
            if isinstance(listed, list):
                elsewhere += listed
            else:
                apps += listed
        elif keys is None and not apps and not table.has("apps_file"):
            table.fault("", "needs dev_key and dev_secret, or at least one app with its key pair")
        accounts.append(
            Account(
                name=name,
                base_url=table.take("base_url", kinds.base_url, JSMS_URL),
                keys=keys,
                apps=apps,
                apps_file=apps_file,
            )
        )
    return tuple(accounts), tuple(elsewhere)


def _apps(account: Table, secrets: Secrets) -> tuple[tuple[AppConfig, ...], dict[str, str]]:
    names: dict[str, str] = {}
    apps = [
        AppConfig(
            name=unique_name(table, names, kinds.name),
            keys=_key_pair(table, "app_key", "master_secret", secrets),
        )
        for table in account.tables("apps")
    ]
    return tuple(apps), names


def _key_pair(table: Table, key: str, secret: str, secrets: Secrets) -> KeyPair:
    return KeyPair(
        key=table.need(key, secrets.read, NO_SECRET),
        secret=table.need(secret, secrets.read, NO_SECRET),
    )


def _beside(path: Path, secrets: Secrets) -> Secrets:
    return Secrets(environ=secrets.environ, base=path.parent, resolve=secrets.resolve)
