"""The reader of a TOML file: its tables return checked values and collect every fault.

A fault doesn't stop the reader: it returns a default instead, and the file is refused at the end with all its faults. A
key that the program never asked for is unknown and is compared with the keys that it asked for. (A model library would
say less about each fault, and pydantic alone adds some 60 ms to the start of every command.)
"""

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from balancebot.domain.sentence import did_you_mean

T = TypeVar("T")
D = TypeVar("D")

MAX_FILE_BYTES = 4 * 1024 * 1024
"""The largest TOML file that is read. It has room for 35,000 apps, which belong in an `apps_file`."""

_MAX_NAMES = 100
"""The most names in one dotted key: the time of tomllib grows with their square."""
_DOTTED = re.compile(r"""(?:\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*)+""")

MAX_KEY = 100
"""The most characters of a key that faults show."""
_MAX_HINTS = 200
"""How many unknown keys of a table are compared with the known ones."""

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFault:
    """One fault of a file, printed as one line. It never contains a secret."""

    file: str
    key: str
    """`accounts[0].apps[2].app_key`; '' = the whole file."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.message) if part)


class UnfitError(Exception):
    """A value doesn't fit its key. Each message completes a sentence that begins with the key."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.faults: tuple[tuple[str, str], ...] = (("", message),)
        """The element of the value (`[2]`, `.voice`; '' = the value itself), and what is wrong with it."""

    @classmethod
    def of_elements(cls, elements: "Iterable[tuple[str, UnfitError]]") -> "UnfitError":
        """Combine the faults of the elements of one value."""
        combined = cls("")
        combined.faults = tuple(
            (at + deeper, message) for at, unfit in elements for deeper, message in unfit.faults
        )
        return combined


Parser = Callable[[object], T]


@dataclass(slots=True, kw_only=True)
class TomlFile:
    """A file that is being read: its faults so far, and the tables that were opened."""

    file: str
    faults: list[ConfigFault] = field(default_factory=list)
    tables: "list[TomlTable]" = field(default_factory=list)

    def root(self, values: dict[str, object]) -> "TomlTable":
        """Open the file's top table."""
        return self.open_table(values, "")

    def fault(self, key: str, message: str) -> None:
        """Record a fault of `key`."""
        self.faults.append(ConfigFault(file=self.file, key=key, message=message))

    def note_unknown_keys(self) -> None:
        """Record each key that was never asked for. Call this after everything was read."""
        for table in self.tables:
            table.note_unknown_keys()

    def open_table(self, values: dict[str, object], place: str) -> "TomlTable":
        """Open the table at `place`."""
        table = TomlTable(values, place, self)
        self.tables.append(table)
        return table


class TomlTable:
    """One table of a file."""

    def __init__(self, values: dict[str, object], place: str, file: TomlFile) -> None:
        self._values = values
        self._place = place
        self._file = file
        self._asked: dict[str, None] = {}

    def path(self, key: str) -> str:
        """Return the full path of `key`, as faults show it; '' gives the path of the table itself."""
        if not key:
            return self._place
        shown = key if key.replace("_", "").replace("-", "").isalnum() else repr(key)
        if len(shown) > MAX_KEY:
            shown = f"{shown[:MAX_KEY]}…"
        return f"{self._place}.{shown}" if self._place else shown

    def fault(self, key: str, message: str, *, at: str = "") -> None:
        """Record a fault of `key`; '' means the table itself.

        `at` names an element of the value: `[2]`, `.voice`.
        """
        self._file.fault(self.path(key) + at, message)

    def has(self, key: str) -> bool:
        """Return whether the file has `key`."""
        self._asked[key] = None
        return key in self._values

    def has_any(self, *keys: str) -> bool:
        """Return whether the file has any of `keys`."""
        self._asked.update(dict.fromkeys(keys))
        return not self._values.keys().isdisjoint(keys)

    def take(self, key: str, parse: Parser[T], default: D) -> T | D:
        """Return the value of `key`. If it is absent, or unfit and recorded as a fault, return `default`."""
        if not self.has(key):
            return default
        try:
            return parse(self._values[key])
        except UnfitError as unfit:
            for at, message in unfit.faults:
                self.fault(key, message, at=at)
            return default

    def need(self, key: str, parse: Parser[T], stand_in: D) -> T | D:
        """Return the value of `key`; if it is absent, record a fault."""
        if not self.has(key):
            self.fault(key, "is missing")
        return self.take(key, parse, stand_in)

    def need_unique(self, key: str, parse: Parser[T], stand_in: D, *, taken: dict[T, str]) -> T | D:
        """Return the value of `key`, as `need` does; if another table has the same value, record a fault.

        `taken` maps the values of the earlier tables to their places; this value is added.
        """
        value = self.need(key, parse, stand_in)
        if value == stand_in:
            return value
        found = cast(T, value)
        if found in taken:
            self.fault(key, f"{found!r} is already the {key} of {taken[found]}")
        taken.setdefault(found, self._place)
        return found

    def holds_table(self, key: str) -> bool:
        """Return whether `key` is a table, for keys that may also have another value."""
        return self.has(key) and isinstance(self._values[key], dict)

    def table(self, key: str) -> "TomlTable | None":
        """Open the table `key`, or return None if it is absent."""
        if not self.has(key):
            return None
        value = self._values[key]
        if not isinstance(value, dict):
            self.fault(key, f"must be a table, [{self.path(key)}], not {described(value)}")
            return None
        return self._file.open_table(value, self.path(key))

    def section(self, key: str) -> "TomlTable":
        """Open the table `key`; if it is absent, an empty table: all its keys have defaults."""
        return self.table(key) or self._file.open_table({}, self.path(key))

    def tables(self, key: str, *, needed: bool = False) -> "list[TomlTable]":
        """Open each table of the array `key`. If `needed`, an empty array is a fault."""
        value = self._values[key] if self.has(key) else []
        if not isinstance(value, list):
            self.fault(key, f"must be an array of tables, [[{self.path(key)}]], not {described(value)}")
            return []
        if needed and not value:
            self.fault(key, f"is missing: there must be at least one [[{self.path(key)}]]")
        opened = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                opened.append(self._file.open_table(item, f"{self.path(key)}[{index}]"))
            else:
                self.fault(key, f"must be a table, not {described(item)}", at=f"[{index}]")
        return opened

    def note_unknown_keys(self) -> None:
        """Record each key that was never asked for, with the most similar known key."""
        unknown = [key for key in self._values if key not in self._asked]
        for number, key in enumerate(unknown):
            is_compared = len(key) <= MAX_KEY and number < _MAX_HINTS
            hint = did_you_mean(key, self._asked) if is_compared else ""
            self.fault(key, f"is unknown{hint}")


def described(value: object) -> str:
    """Return the type of a value in a word, never the value: it may be a secret."""
    match value:
        case bool():
            return "true or false"
        case str():
            return "a string"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def read_toml(path: Path) -> dict[str, object]:
    """Read and parse a file. Raises `UnfitError` with the fault of the file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UnfitError("there is no such file; `balancebot init` writes one") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such file"
        raise UnfitError(f"can't be read: {reason}") from None
    return parse_toml(data)


def parse_toml(data: bytes) -> dict[str, object]:
    """Parse the bytes of a file.

    Raises `UnfitError` with the fault of the file. It names the line and quotes nothing.
    """
    if len(data) > MAX_FILE_BYTES:
        raise UnfitError(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnfitError(f"line {line}: isn't UTF-8 text") from None
    for names in _DOTTED.finditer(text):
        if names.group().count(".") > _MAX_NAMES:
            line = text.count("\n", 0, names.start()) + 1
            raise UnfitError(f"line {line}: holds more than {_MAX_NAMES} names with dots between them")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnfitError(_syntax_fault(str(error), text)) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists a thousand levels deep
        raise UnfitError("holds a number or a nesting that is too large to be read") from None


def _syntax_fault(message: str, text: str) -> str:
    """Move the place that tomllib names at the end of its message to the front of ours."""
    place = _PLACE.search(message)
    if place is None:
        return f"is no TOML: {message}"
    where = f"line {place['line']}, column {place['column']}"
    if place["line"] is None:
        where = f"line {len(text.rstrip().splitlines()) or 1}"
    return f"{where}: is no TOML: {message[: place.start()]}"
