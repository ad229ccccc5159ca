"""Passwords: argon2id in, yes or no out. At most two are worked on at once, so that guessing can't eat the memory."""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 8
MAX_LENGTH = 1024

# 19 MiB, two passes, one lane: the least that OWASP recommends, since the daemon itself is not larger than a few of these
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE = threading.BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """Return what is kept of a password."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def matches(password: str, password_hash: str | None) -> bool:
    """Tell whether a password is the one that was hashed; with None takes as long, and says no."""
    with _AT_ONCE:
        try:
            _HASHER.verify(password_hash or _NOBODYS, password)
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Tell whether a hash was made with other costs than today's."""
    return _HASHER.check_needs_rehash(password_hash)


_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$KlYezsa5Qb7z27uaxUEZgg$gLSUXAyEudcZrhzk4NQ3KdefOR98B4kfcHMRDlxCt2Q"
"""A hash of random bytes that nobody kept: an unknown name must not answer sooner than a known one."""
