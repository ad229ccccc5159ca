"""Who may use the web pages, and for what. A *user* is a web log-in; a developer account is an *account*."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_USER_NAME = 64
"""The longest name of a user, in characters."""


class Role(StrEnum):
    """What a user may do; each role may all that the ones before it may."""

    VIEWER = "viewer"
    """Reads."""
    FINANCE = "finance"
    """Also edits thresholds and plans, acknowledges and silences."""
    ADMIN = "admin"
    """Also keeps the users."""

    def may(self, needed: "Role") -> bool:
        """Tell whether this role includes what `needed` may do."""
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
    """Whether it has no password: a proxy or OpenID Connect vouches for it, and says its role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser in which a user is logged in."""

    id: str
    """What names it to people and in forms; the token in the cookie can't be found from it."""
    user: User
    created_at: datetime
    seen_at: datetime
    """To within a few minutes."""
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What a program shows instead of a log-in. Its name stands in the audit log for what it changes."""

    name: str
    role: Role
    """Viewer or finance: no program keeps users."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    """None: it holds until it is removed."""
    used_at: datetime | None = None
    """To within a few minutes; None: never."""

    def holds(self, now: datetime) -> bool:
        """Tell whether it opens anything at `now`."""
        return self.expires_at is None or now < self.expires_at


def user_name_fault(name: str) -> str | None:
    """Return what is wrong with a user's name, or None when it may be used."""
    if not name or name != name.strip():
        return "a name has no space at its ends and is not empty"
    if len(name) > MAX_USER_NAME:
        return f"a name has at most {MAX_USER_NAME} characters"
    if not name.isprintable():
        return "a name has printable characters only"
    return None
