"""`[[accounts]]` and their apps: what is watched and with which key pairs, from the configuration and from apps files.

An apps file is for an account that has thousands of apps: a CSV file that is accepted or refused as a whole, and read
again when it changes.
"""

import csv
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import NamedTuple, Self

from balancebot.config import addresses, values
from balancebot.config.declare import ConfigSection, key, tables
from balancebot.config.secrets import NO_SECRET, ConfigContext, FileVersion, Secret, file_version
from balancebot.config.toml_table import ConfigFault, D, Parser, T, TomlTable, UnfitError
from balancebot.domain.balance import WalletName, wallet_name
from balancebot.domain.sentence import did_you_mean

log = logging.getLogger(__name__)

MAX_APPS_FILE_BYTES = 64 * 1024 * 1024

_COLUMNS = ("name", "app_key", "master_secret")
_OWNER = "owner"
"""The only optional column; its cells may be empty."""


class KeyPair(NamedTuple):
    """The user name and password (HTTP Basic) with which one wallet is read."""

    key: Secret
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig(ConfigSection):
    """The apps of an account."""

    name: str = key(values.name, "letters, digits, space, `_ . -`; unique", example='"checkout"', unique=True)
    app_key: Secret = key(values.secret(), "the app's key pair", example='"env:CHECKOUT_APP_KEY"')
    master_secret: Secret = key(
        values.secret(), "the other half of it", example='"file:/run/secrets/checkout"'
    )
    owner: str | None = key(
        values.short_text, "whose it is, for statements: a cost centre", default=None, example='"shop team"'
    )
    from_file: bool = False
    """Whether the app comes from `apps_file`, not from the configuration itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig(ConfigSection):
    """What is watched. An account needs its name and one key pair: its own or that of one app."""

    name: str = key(values.name, "letters, digits, space, `_ . -`; unique", example='"acme"', unique=True)
    base_url: str = key(addresses.base_url, "the address of the API", default="https://api.sms.jpush.cn")
    """Without a slash at its end."""
    dev_key: Secret | None = key(
        values.secret(),
        "the account's own key pair, for the shared pool",
        default=None,
        example='"env:ACME_DEV_KEY"',
        filled_in=True,
    )
    dev_secret: Secret | None = key(
        values.secret(),
        "the other half of it",
        default=None,
        example='"env:ACME_DEV_SECRET"',
        filled_in=True,
    )
    apps_file: Path | None = key(
        values.existing_file,
        "CSV with the columns name,app_key,master_secret and, if need be, owner; read again when it changes",
        default=None,
        example='"apps.csv"',
    )
    apps: tuple[AppConfig, ...] = tables(AppConfig)
    """The apps of the configuration, then the apps of `apps_file`."""

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Refuse half a key pair, and an account without any key pair."""
        for given, other in (("dev_key", "dev_secret"), ("dev_secret", "dev_key")):
            if table.has(given) and not table.has(other):
                table.fault(other, "is missing")
        if not table.has_any("dev_key", "dev_secret", "apps_file") and not self.apps:
            table.fault("", "needs dev_key and dev_secret, or at least one app with its key pair")
        return self

    def wallets(self) -> Iterator[tuple[WalletName, KeyPair]]:
        """Yield every wallet that is read, with its key pair. The shared pool comes first."""
        if self.dev_key is not None and self.dev_secret is not None:
            yield wallet_name(self.name), KeyPair(self.dev_key, self.dev_secret)
        for app in self.apps:
            yield wallet_name(self.name, app.name), KeyPair(app.app_key, app.master_secret)


def reread_apps(
    account: AccountConfig, *, environ: Mapping[str, str]
) -> AccountConfig | tuple[ConfigFault, ...]:
    """Return `account` with the apps that its `apps_file` lists now, or all faults of that file."""
    if account.apps_file is None:
        return account
    kept = tuple(app for app in account.apps if not app.from_file)
    context = ConfigContext(environ=environ, base=account.apps_file.parent, resolve=True)
    taken = {app.name: "the configuration" for app in kept}
    listed = read_apps_file(account.apps_file, context=context, taken=taken)
    return tuple(listed) if isinstance(listed, list) else replace(account, apps=kept + listed)


def read_apps_file(
    path: Path, *, context: ConfigContext, taken: Mapping[str, str]
) -> tuple[AppConfig, ...] | list[ConfigFault]:
    """Read an apps file. `taken` maps each name that the account already uses to the place that uses it.

    The columns may be in any order; a BOM and blank lines are accepted. The header is line 1.
    """
    faults: list[ConfigFault] = []
    apps: list[AppConfig] = []
    names = dict(taken)
    try:
        lines = _lines(_text(path))
        header = _header(next(lines, (1, []))[1])
        for line, cells in lines:
            if len(cells) != len(header):
                message = f"has {len(cells)} cells where the header has {len(header)}"
                faults.append(ConfigFault(file=str(path), key=f"line {line}", message=message))
                continue
            row = _AppRow(str(path), line, dict(zip(header, cells, strict=True)), faults)
            name = row.take("name", values.name, "")
            app_key: Secret = row.take("app_key", context.read_secret, NO_SECRET)
            master_secret: Secret = row.take("master_secret", context.read_secret, NO_SECRET)
            owner = row.take(_OWNER, values.short_text, None) if row.has(_OWNER) else None
            if name and name in names:
                row.fault("name", f"{name!r} is already the name of an app in {names[name]}")
            names.setdefault(name, f"line {line}")
            apps.append(
                AppConfig(
                    name=name, app_key=app_key, master_secret=master_secret, owner=owner, from_file=True
                )
            )
    except UnfitError as unfit:
        faults.append(ConfigFault(file=str(path), key="", message=str(unfit)))
    return faults or tuple(apps)


class _AppRow:
    """One line of the file, and the list that collects its faults."""

    def __init__(self, file: str, line: int, cells: dict[str, str], faults: list[ConfigFault]) -> None:
        self._file, self._line, self._cells, self._faults = file, line, cells, faults

    def fault(self, column: str, message: str) -> None:
        place = f"line {self._line}, {column}"
        self._faults.append(ConfigFault(file=self._file, key=place, message=message))

    def has(self, column: str) -> bool:
        return bool(self._cells.get(column))

    def take(self, column: str, parse: Parser[T], stand_in: D) -> T | D:
        try:
            return parse(self._cells[column])
        except UnfitError as unfit:
            self.fault(column, str(unfit))
            return stand_in


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_APPS_FILE_BYTES + 1)
        if len(data) > MAX_APPS_FILE_BYTES:
            raise UnfitError(f"is larger than {MAX_APPS_FILE_BYTES} bytes")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnfitError("isn't UTF-8 text") from None
    except OSError as error:
        raise UnfitError(f"can't be read: {error.strerror}") from None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line that isn't blank, with its cells stripped."""
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    before = 0
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield before + 1, cells
            before = rows.line_num
    except csv.Error as error:
        raise UnfitError(f"line {before + 1}: {error}") from None


def _header(cells: list[str]) -> list[str]:
    header = [cell.lower() for cell in cells]
    missing = [column for column in _COLUMNS if column not in header]
    known = (*_COLUMNS, _OWNER)
    for position, column in enumerate(header, start=1):
        if column not in known:  # never quoted: if there is no header, it may be a secret
            raise UnfitError(f"line 1: column {position} is unknown{did_you_mean(column, known)}")
    if missing or len(set(header)) != len(header):
        raise UnfitError(
            f"line 1: the columns must be {','.join(_COLUMNS)}, each once, and may have {_OWNER}"
        )
    return header


_MIN_GONE, _GONE_DIVISOR = 5, 5
"""An apps file shrinks a lot if it loses at least this many apps and at least one in this many."""
_SHRUNK_SECONDS = 60.0
"""How long a version that shrank a lot must stay unchanged before it is used."""


class AppsWatch:
    """Watches the `apps_file` of each account. Not safe for several threads.

    A version is used when two checks in a row have found it: the first may have met a file that is still being written.
    A version with far fewer apps, or with fewer and no end of its last line, is used after a minute: it may be the
    beginning of a file that is written slowly.
    """

    def __init__(
        self,
        accounts: Sequence[AccountConfig],
        *,
        environ: Mapping[str, str],
        seconds: Callable[[], float] = monotonic,
    ) -> None:
        """Take the accounts as they were read at the start. `environ` resolves the secrets of the files."""
        self._seconds = seconds
        self._shrunk: dict[str, tuple[FileVersion, float]] = {}
        """Each version with far fewer apps, and since when it is there (monotonic seconds), by account."""
        self._accounts = {account.name: account for account in accounts}
        self._environ = environ
        self._read: dict[str, FileVersion] = {}
        self._seen = {account.name: _apps_version(account) for account in accounts}

    def check(self) -> tuple[AccountConfig, ...] | None:
        """Return all accounts if the content of an apps file has changed, else None.

        A version that can't be used is logged once, every fault with its row and column, and changes nothing.
        """
        changed = [
            self._check_account(account) for account in tuple(self._accounts.values()) if account.apps_file
        ]
        return tuple(self._accounts.values()) if any(changed) else None

    def _check_account(self, account: AccountConfig) -> bool:
        version = _apps_version(account)
        is_stable = version == self._seen[account.name]
        self._seen[account.name] = version
        if not is_stable or (account.name in self._read and version == self._read[account.name]):
            return False
        self._read[account.name] = version
        updated = reread_apps(account, environ=self._environ)
        if isinstance(updated, tuple):
            log.warning(
                "apps_file.refused",
                extra={
                    "account": account.name,
                    "kept_apps": len(account.apps),
                    "faults": "; ".join(map(str, updated)),
                },
            )
            return False
        if updated == account:
            return False
        if self._must_wait(account, updated, version):
            del self._read[account.name]  # so that the next check reads it again
            return False
        log.info("apps_file.taken", extra={"account": account.name, "apps": len(updated.apps)})
        self._accounts[account.name] = updated
        return True

    def _must_wait(self, account: AccountConfig, updated: AccountConfig, version: FileVersion) -> bool:
        num_gone = len(account.apps) - len(updated.apps)
        are_many = num_gone >= _MIN_GONE and num_gone * _GONE_DIVISOR >= len(account.apps)
        if num_gone <= 0 or not (are_many or _is_open_ended(account)):
            return False
        known, since = self._shrunk.get(account.name, (None, 0.0))
        if known != version:
            since = self._seconds()
            self._shrunk[account.name] = (version, since)
            log.warning(
                "apps_file.shrinks",
                extra={"account": account.name, "apps": len(updated.apps), "kept_apps": len(account.apps)},
            )
        return self._seconds() - since < _SHRUNK_SECONDS


def _is_open_ended(account: AccountConfig) -> bool:
    """Return whether the last line of the apps file has no end; a file that can't be read has one."""
    try:
        return account.apps_file is not None and not account.apps_file.read_bytes().endswith((b"\n", b"\r"))
    except OSError:
        return False


def _apps_version(account: AccountConfig) -> FileVersion:
    return None if account.apps_file is None else file_version(account.apps_file)
