"""The apps of an account that has thousands: a CSV of `name,app_key,master_secret`, taken whole or refused whole."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path

from balancebot.config import kinds
from balancebot.config.secrets import NO_SECRET, Secrets
from balancebot.config.shapes import Account, AppConfig, KeyPair
from balancebot.config.table import Fault, Parser, T, UnfitError
from balancebot.domain.spelling import did_you_mean

_COLUMNS = ("name", "app_key", "master_secret")


def reread_apps(account: Account, *, environ: Mapping[str, str]) -> Account | tuple[Fault, ...]:
    """Return `account` with the apps that its `apps_file` names now, or all that is wrong with the file."""
    if account.apps_file is None:
        return account
    kept = tuple(app for app in account.apps if not app.from_file)
    secrets = Secrets(environ=environ, base=account.apps_file.parent, resolve=True)
    listed = read_apps_file(
        account.apps_file, secrets=secrets, taken={app.name: "the configuration" for app in kept}
    )
    if isinstance(listed, list):
        return tuple(listed)
    return replace(account, apps=kept + listed)


def read_apps_file(
    path: Path, *, secrets: Secrets, taken: Mapping[str, str]
) -> tuple[AppConfig, ...] | list[Fault]:
    """Read a file of apps; `taken` are the names that the account has already, and where.

    The columns come in any order; a BOM and blank lines are let pass. Lines count from the header, which is line 1.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return [Fault(file=str(path), key="", message="isn't UTF-8 text")]
    except OSError as error:
        return [Fault(file=str(path), key="", message=f"can't be read: {error.strerror}")]
    faults: list[Fault] = []
    apps: list[AppConfig] = []
    names = dict(taken)
    try:
        lines = _lines(text)
        header = _header(next(lines, (1, []))[1])
        for line, cells in lines:
            if len(cells) != len(header):
                message = f"has {len(cells)} cells where the header has {len(header)}"
                faults.append(Fault(file=str(path), key=f"line {line}", message=message))
                continue
            row = _Row(str(path), line, dict(zip(header, cells, strict=True)), faults)
            name = row.take("name", kinds.name, "")
            keys = KeyPair(
                key=row.take("app_key", secrets.read, NO_SECRET),
                secret=row.take("master_secret", secrets.read, NO_SECRET),
            )
            if name and name in names:
                row.fault("name", f"{name!r} is already the name of an app in {names[name]}")
            names.setdefault(name, f"line {line}")
            apps.append(AppConfig(name=name, keys=keys, from_file=True))
    except UnfitError as unfit:
        faults.append(Fault(file=str(path), key="", message=str(unfit)))
    return faults or tuple(apps)


class _Row:
    """One line of the file, with the list that its faults go to."""

    def __init__(self, file: str, line: int, cells: dict[str, str], faults: list[Fault]) -> None:
        self._file, self._line, self._cells, self._faults = file, line, cells, faults

    def fault(self, column: str, message: str) -> None:
        self._faults.append(Fault(file=self._file, key=f"line {self._line}, {column}", message=message))

    def take(self, column: str, parse: Parser[T], stand_in: T) -> T:
        try:
            return parse(self._cells[column])
        except UnfitError as unfit:
            self.fault(column, str(unfit))
            return stand_in


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each line that isn't blank, trimmed, with its number."""
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
    for position, column in enumerate(header, start=1):
        if column not in _COLUMNS:  # never quoted: without a header line it may be a secret
            raise UnfitError(f"line 1: column {position} is unknown{did_you_mean(column, _COLUMNS)}")
    if missing or len(set(header)) != len(header):
        raise UnfitError(f"line 1: the columns must be {','.join(_COLUMNS)}, each once")
    return header
