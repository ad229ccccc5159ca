"""Who may use the web pages, and for what. A *user* is a web log-in; a developer account is an *account*."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_USER_NAME = 64
"""The longest name of a user, in characters."""


class Role(StrEnum):
    """What a user may do. Each role includes the ones before it."""

    VIEWER = "viewer"
    """Reads."""
    FINANCE = "finance"
    """Also edits thresholds and plans, acknowledges and silences."""
    ADMIN = "admin"
    """Also manages the users."""

    def may(self, needed: "Role") -> bool:
        """Return whether this role includes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One web log-in."""

    name: str
    role: Role
    created_at: datetime
    language: str = ""
    """Of the pages; '' = as configured."""
    time_zone: str = ""
    """Likewise."""
    vouched: bool = False
    """Whether a proxy or OpenID Connect authenticates the user and sets the role; then there is no password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser in which a user is logged in."""

    id: str
    """The public id, shown on pages and in forms; the token in the cookie can't be derived from it."""
    user: User
    created_at: datetime
    seen_at: datetime
    """Accurate to a few minutes."""
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What a program uses instead of a log-in. The audit log shows its name with each change."""

    name: str
    role: Role
    """Viewer or finance: programs don't manage users."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    """None: it is valid until it is removed."""
    used_at: datetime | None = None
    """Accurate to a few minutes; None: never."""

    def holds(self, now: datetime) -> bool:
        """Return whether it is valid at `now`."""
        return self.expires_at is None or now < self.expires_at


def user_name_fault(name: str) -> str | None:
    """Return what is wrong with a user's name, or None if it is valid."""
    if not name or name != name.strip():
        return "a name has no space at its ends and is not empty"
    if len(name) > MAX_USER_NAME:
        return f"a name has at most {MAX_USER_NAME} characters"
    if not name.isprintable():
        return "a name has printable characters only"
    return None
