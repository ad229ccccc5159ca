"""Secrets: written `env:NAME`, `file:PATH` or literally, and read only where a command needs them.

Faults name the variable or the file, never a value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from balancebot.config.table import UnfitError, described
from balancebot.secret import Secret

MAX_BYTES = 65_536
"""A secret is short; a larger file is a mistake."""


class UnresolvedSecret(Secret):
    """A secret that stands in the configuration of a command that was to need none."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("")

    def reveal(self) -> NoReturn:
        """Refuse: whoever asks forgot to have the settings loaded with their secrets."""
        raise RuntimeError("this command loaded its settings without resolving secrets")


NO_SECRET: Secret = UnresolvedSecret()
"""Stands where a secret wasn't to be resolved, or was found unfit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Reads secrets for one file."""

    environ: Mapping[str, str]
    base: Path
    """Where relative paths begin."""
    resolve: bool

    def read(self, value: object) -> Secret:
        """Read a secret, or stand in for it when none is to be resolved."""
        return Secret(self.look_up(value)) if self.resolve else _unread(value)

    def reading(self, check: Callable[[str], object]) -> Callable[[object], Secret]:
        """Make a reader of secrets whose value must pass `check`, which raises `UnfitError` without quoting it.

        One that is written literally is checked for every command.
        """

        def parse(value: object) -> Secret:
            secret = self.read(value)
            if self.resolve:
                check(secret.reveal())
            elif isinstance(value, str) and _reference(value) is None:
                check(value)
            return secret

        return parse

    def look_up(self, value: object) -> str:
        """Return the value that is meant, for every command."""
        if not isinstance(value, str):
            raise UnfitError(_wrong_type(value))
        match _reference(_usable(value, "")):
            case None:
                return value
            case "env", name:
                return _usable(self._variable(name), f"the environment variable {name} ")
            case _, name:
                return _usable(self._file(name), f"the file {name} ")

    def _variable(self, name: str) -> str:
        if not name:
            raise UnfitError("must name a variable behind env:")
        if name not in self.environ:
            raise UnfitError(f"the environment variable {name} isn't set")
        return _without_newline(self.environ[name])

    def _file(self, name: str) -> str:
        if not name:
            raise UnfitError("must name a file behind file:")
        try:
            with (self.base / name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                raise UnfitError(f"the file {name} is larger than {MAX_BYTES} bytes")
            return _without_newline(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise UnfitError(f"the file {name} isn't UTF-8 text") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such file"
            raise UnfitError(f"the file {name} can't be read: {reason}") from None


def _reference(value: str) -> tuple[str, str] | None:
    """Split `env:NAME` and `file:PATH`; None is the secret itself."""
    kind, colon, name = value.partition(":")
    return (kind, name) if colon and kind in {"env", "file"} else None


def _without_newline(value: str) -> str:
    """Drop the one that editors, and shells that pass files on, leave at the end."""
    return value.removesuffix("\n").removesuffix("\r")


def _unread(value: object) -> Secret:
    if not isinstance(value, str):
        raise UnfitError(_wrong_type(value))
    _usable(value, "")
    return NO_SECRET


def _wrong_type(value: object) -> str:
    return f'must be a string such as "env:NAME", "file:PATH" or the secret itself, not {described(value)}'


def _usable(value: str, where: str) -> str:
    if not value:
        raise UnfitError(f"{where}is empty")
    if not value.isprintable():
        raise UnfitError(f"{where}holds a line break or another character that can't be printed")
    return value
