"""A secret is a type of its own, so that no log, message, traceback or dump shows it by accident.

It leaves the wrapper through `reveal` alone, at the one place that sends it.
"""

import hmac
from typing import NoReturn


class Secret:
    """A value that is shown as stars, compared in constant time and never pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself: for the request that needs it, and nothing else."""
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
