"""Keys that several tables have, read in one way: a proxy, a file that must be there, a name that is unique."""

import os
from pathlib import Path

from balancebot.config import kinds
from balancebot.config.secrets import Secrets
from balancebot.config.shapes import Proxy
from balancebot.config.table import Parser, Table, UnfitError


def proxy(table: Table, secrets: Secrets) -> Proxy | None:
    """`proxy`: an address, "direct" for none, absent for what the environment says."""

    def parse(value: object) -> Proxy:
        if value == "direct":
            return Proxy(url=None)
        return Proxy(url=secrets.reading(kinds.web_url)(value))

    return table.take("proxy", parse, None)


def existing_file(table: Table, key: str, secrets: Secrets) -> Path | None:
    """`key`: the path of a file that is there."""

    def parse(value: object) -> Path:
        path = secrets.base / kinds.text(value)
        if not os.path.isfile(path):  # Path.is_file raises where a folder above may not be entered
            raise UnfitError(f"is no file: {path}")
        return path

    return table.take(key, parse, None)


def unique_name(table: Table, names: dict[str, str], parse: Parser[str]) -> str:
    """`name`: noted in `names` with the table that has it; a second table of the same name is a fault."""
    name = table.need("name", parse, "")
    if name and name in names:
        table.fault("name", f"{name!r} is already the name of {names[name]}")
    names.setdefault(name, table.path(""))
    return name
