"""Secrets: a type that never shows its value, and the reader of `env:NAME`, `file:PATH` and literal values.

A secret is read only by commands that need it. Faults name the variable or the file, never the value.
"""

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeAlias

from balancebot.config.toml_table import UnfitError, described

MAX_SECRET_BYTES = 65_536
"""A secret is short; a larger file is a mistake."""


FileVersion: TypeAlias = tuple[int, int, int] | None
"""Time of change, size and inode of a file; None = no such file."""


class Secret:
    """A value that is printed as stars, compared in constant time and never pickled.

    Only `reveal` returns the value. Call it in the one place that sends it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, for the request that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format("***", format_spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written down")


class UnresolvedSecret(Secret):
    """A secret in settings that were loaded without secrets."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("")

    def reveal(self) -> NoReturn:
        """Raise: the caller should have loaded the settings with their secrets."""
        raise RuntimeError("this command loaded its settings without resolving secrets")


NO_SECRET: Secret = UnresolvedSecret()
"""Stands for every secret that wasn't resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigContext:
    """What the values of one file refer to: environment variables, and paths relative to the file."""

    environ: Mapping[str, str]
    base: Path
    """The folder that relative paths start from."""
    resolve: bool
    """Whether secrets are read. If not, neither variables nor files of secrets are read."""
    secret_files: dict[Path, FileVersion] = field(default_factory=dict)
    """The version of each secret file that was read."""

    def read_secret(self, value: object, check: Callable[[str], object] | None = None) -> Secret:
        """Read a secret, or return `NO_SECRET` if secrets aren't resolved.

        `check` raises `UnfitError` for an unfit value without quoting it. A literal secret is checked for every
        command. Raises `UnfitError`.
        """
        if not isinstance(value, str):
            raise UnfitError(_wrong_type(value))
        if self.resolve:
            found = self.look_up(value)
        elif _reference(_usable(value, "")) is None:
            found = value
        else:
            return NO_SECRET
        if check is not None:
            check(found)
        return Secret(found) if self.resolve else NO_SECRET

    def look_up(self, value: object) -> str:
        """Return the value that is meant, whether or not secrets are resolved. Raises `UnfitError`."""
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
        path = self.base / name
        self.secret_files[path] = None
        try:
            with path.open("rb") as file:
                self.secret_files[path] = _version(os.fstat(file.fileno()))
                data = file.read(MAX_SECRET_BYTES + 1)
            if len(data) > MAX_SECRET_BYTES:
                raise UnfitError(f"the file {name} is larger than {MAX_SECRET_BYTES} bytes")
            return _without_newline(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise UnfitError(f"the file {name} isn't UTF-8 text") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such file"
            raise UnfitError(f"the file {name} can't be read: {reason}") from None


class SecretsWatch:
    """Watches the secret files. Not safe for several threads.

    A change counts when two checks in a row have found it: the first may have met a file that was still being written.
    """

    def __init__(self, files: Mapping[Path, FileVersion]) -> None:
        """Take the version of each file that was read."""
        self._taken = dict(files)
        self._seen = dict(files)

    def check(self) -> bool:
        """Return whether a file has changed since it was read, or since this last returned true."""
        found = {path: file_version(path) for path in self._taken}
        is_stable, self._seen = found == self._seen, found
        if not is_stable or found == self._taken:
            return False
        self._taken = found
        return True


def file_version(path: Path) -> FileVersion:
    """Return the present version of a file."""
    try:
        return _version(path.stat())
    except (OSError, ValueError):
        return None


def _version(status: os.stat_result) -> FileVersion:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _reference(value: str) -> tuple[str, str] | None:
    """Split `env:NAME` and `file:PATH`; None means that the value is the secret itself."""
    kind, colon, name = value.partition(":")
    return (kind, name) if colon and kind in {"env", "file"} else None


def _without_newline(value: str) -> str:
    """Drop the line break that editors and shells leave at the end of a file."""
    return value.removesuffix("\n").removesuffix("\r")


def _wrong_type(value: object) -> str:
    return f'must be a string such as "env:NAME", "file:PATH" or the secret itself, not {described(value)}'


def _usable(value: str, where: str) -> str:
    if not value:
        raise UnfitError(f"{where}is empty")
    if len(value) > MAX_SECRET_BYTES:
        raise UnfitError(f"{where}is longer than {MAX_SECRET_BYTES} characters")
    if not value.isprintable():
        raise UnfitError(f"{where}holds a line break or another character that can't be printed")
    return value
