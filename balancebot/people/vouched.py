"""Users that a reverse proxy or OpenID Connect has authenticated. They have no password here.

If the user is in `users`, that role applies. Otherwise the role of the proxy or the provider applies, at each request;
without a role the user is refused, and open sessions end.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from balancebot.domain.user import Role, User, user_name_fault
from balancebot.store import users as store
from balancebot.store.database import Database


def vouched_user(database: Database, *, name: str, role: Role | None, now: datetime) -> User | None:
    """Return the authenticated user `name`; None = the user is refused."""
    if user_name_fault(name):
        return None
    with database.read() as conn:
        found = store.find(conn, name)
    user = None if found is None else found[0]
    if user is not None and not user.vouched:
        return user
    if user is not None and user.role is role:
        return user
    with database.write() as conn:
        if role is None:
            store.remove_vouched(conn, name)
            return None
        if user is not None:
            store.set_role(conn, name, role)
            return replace(user, role=role)
        new = User(name=name, role=role, created_at=now, vouched=True)
        store.add(conn, new, "")
        return new


def role_of_groups(groups: Collection[str], roles: Mapping[str, Role], default: Role | None) -> Role | None:
    """Return the highest role of the groups, else `default`; None = no role."""
    found = [roles[group] for group in groups if group in roles]
    return max(found, key=list(Role).index, default=default)
