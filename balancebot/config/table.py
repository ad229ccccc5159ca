"""A TOML table on its way to a value: it hands out what was asked for, checked, and collects every fault.

Whoever reads a table names each key once; what the file holds besides is unknown, and the names that were asked for
are what a misspelt key is compared with. A fault doesn't stop the reading: a stand-in is handed out and the file refused.
(A library of models would say less about each fault, and pydantic alone adds some 60 ms to the start of every command.)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from balancebot.domain.spelling import did_you_mean

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, printed as one line. It never holds a secret."""

    file: str
    key: str
    """`accounts[0].apps[2].app_key`; '' when it concerns the whole file."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.message) if part)


class UnfitError(Exception):
    """A value isn't what its key wants. Each message completes a sentence that begins with the key."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.faults: tuple[tuple[str, str], ...] = (("", message),)
        """Which element of the value is meant (`[2]`, `.voice`; '' = the value itself), and what is wrong with it."""

    @classmethod
    def of_elements(cls, elements: "Iterable[tuple[str, UnfitError]]") -> "UnfitError":
        """Gather the faults of the elements of one value."""
        gathered = cls("")
        gathered.faults = tuple(
            (at + deeper, message) for at, unfit in elements for deeper, message in unfit.faults
        )
        return gathered


Parser = Callable[[object], T]


@dataclass(slots=True, kw_only=True)
class Reading:
    """One file being read: its faults so far and the tables that were opened."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    tables: "list[Table]" = field(default_factory=list)

    def root(self, values: dict[str, object]) -> "Table":
        """Open the file's top table."""
        return self.open_table(values, "")

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with `key`."""
        self.faults.append(Fault(file=self.file, key=key, message=message))

    def note_unknown_keys(self) -> None:
        """Note each key that nobody asked for. To be called when everything was read."""
        for table in self.tables:
            table.note_unknown_keys()

    def open_table(self, values: dict[str, object], place: str) -> "Table":
        """Open the table that stands at `place`."""
        table = Table(values, place, self)
        self.tables.append(table)
        return table


class Table:
    """One table of the file."""

    def __init__(self, values: dict[str, object], place: str, reading: Reading) -> None:
        self._values = values
        self._place = place
        self._reading = reading
        self._asked: dict[str, None] = {}

    def path(self, key: str) -> str:
        """Return the full path of `key`, as faults show it."""
        if not key:
            return self._place
        shown = key if key.replace("_", "").replace("-", "").isalnum() else repr(key)
        return f"{self._place}.{shown}" if self._place else shown

    def fault(self, key: str, message: str) -> None:
        """Note what is wrong with `key`, or with the table itself when `key` is ''."""
        self._reading.fault(self.path(key), message)

    def has(self, key: str) -> bool:
        """Tell whether the file names `key`."""
        self._asked[key] = None
        return key in self._values

    def has_any(self, *keys: str) -> bool:
        """Tell whether the file names any of `keys`."""
        self._asked.update(dict.fromkeys(keys))
        return not self._values.keys().isdisjoint(keys)

    def take(self, key: str, parse: Parser[T], default: D) -> T | D:
        """Return the value of `key`, or `default` when it is absent or, with a fault noted, unfit."""
        if not self.has(key):
            return default
        try:
            return parse(self._values[key])
        except UnfitError as unfit:
            for at, message in unfit.faults:
                self._reading.fault(self.path(key) + at, message)
            return default

    def need(self, key: str, parse: Parser[T], stand_in: T) -> T:
        """Return the value of `key`; its absence is a fault."""
        if not self.has(key):
            self.fault(key, "is missing")
        return self.take(key, parse, stand_in)

    def holds_table(self, key: str) -> bool:
        """Tell whether `key` is there and a table, where it may be something else as well."""
        return self.has(key) and isinstance(self._values[key], dict)

    def table(self, key: str) -> "Table | None":
        """Open the table `key`, or return None when it is absent."""
        if not self.has(key):
            return None
        value = self._values[key]
        if not isinstance(value, dict):
            self.fault(key, f"must be a table, [{self.path(key)}], not {described(value)}")
            return None
        return self._reading.open_table(value, self.path(key))

    def section(self, key: str) -> "Table":
        """Open the table `key`, an empty one when it is absent: all its keys have defaults."""
        return self.table(key) or self._reading.open_table({}, self.path(key))

    def tables(self, key: str, *, needed: bool = False) -> "list[Table]":
        """Open each table of the array `key`; where at least one is needed, none is a fault."""
        value = self._values[key] if self.has(key) else []
        if not isinstance(value, list):
            self.fault(key, f"must be an array of tables, [[{self.path(key)}]], not {described(value)}")
            return []
        if needed and not value:
            self.fault(key, f"is missing: there must be at least one [[{self.path(key)}]]")
        opened = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                opened.append(self._reading.open_table(item, f"{self.path(key)}[{index}]"))
            else:
                self.fault(f"{key}[{index}]", f"must be a table, not {described(item)}")
        return opened

    def note_unknown_keys(self) -> None:
        """Note each key that nobody asked for, with the nearest that somebody did."""
        for key in self._values:
            if key not in self._asked:
                self.fault(key, f"is unknown{did_you_mean(key, self._asked)}")


def described(value: object) -> str:
    """Return what kind of value this is, in a word; never the value, which may be a secret."""
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
