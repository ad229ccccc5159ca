"""Users that somebody else vouches for: a reverse proxy, or OpenID Connect. They have no password here.

Who is kept in `users` has the role from there. Any other has the role that comes with the vouching, each time anew;
without one nobody gets in, and what was open ends.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from balancebot.domain.user import Role, User, user_name_fault
from balancebot.store import users as store
from balancebot.store.database import Database


def vouched_user(database: Database, *, name: str, role: Role | None, now: datetime) -> User | None:
    """Return the user of a name that was vouched for; None = nobody of this name gets in."""
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
    """Return the highest role that groups have, else the default one; None = no role."""
    found = [roles[group] for group in groups if group in roles]
    return max(found, key=list(Role).index, default=default)
