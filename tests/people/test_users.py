"""Every change of a user has an audit entry, and nobody can lock themselves out on the pages."""

from datetime import UTC, datetime, timedelta

from balancebot.domain.audit import Act, Actor, AuditEntry, Via
from balancebot.domain.user import Role, User
from balancebot.people import users
from balancebot.people.users import UserFault
from balancebot.store import audit
from balancebot.store.database import Database

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CLI = Actor(name="root", via=Via.CLI)


def add(
    database: Database, name: str, role: Role = Role.FINANCE, password: str = "a long secret"
) -> UserFault | None:
    return users.add_user(database, name=name, role=role, password=password, by=CLI, now=NOW)


def test_a_user_is_added_listed_and_removed(database: Database) -> None:
    assert add(database, "finance", Role.VIEWER) is None
    assert users.set_role(database, name="finance", role=Role.ADMIN, by=CLI, now=NOW) is None
    assert (User(name="finance", role=Role.ADMIN, created_at=NOW),) == users.list_users(database)

    assert users.remove_user(database, name="finance", by=CLI, now=NOW) is None
    assert users.list_users(database) == ()


def test_every_change_is_in_the_audit_log_without_the_password(database: Database) -> None:
    add(database, "finance", Role.VIEWER)
    users.set_role(database, name="finance", role=Role.FINANCE, by=CLI, now=NOW)
    users.set_password(database, name="finance", password="another secret", by=CLI, now=NOW)
    users.remove_user(database, name="finance", by=CLI, now=NOW)

    def entry(number: int, act: Act, before: str | None, after: str | None) -> AuditEntry:
        return AuditEntry(
            id=str(number),
            at=NOW,
            actor="root",
            via=Via.CLI,
            act=act,
            subject="finance",
            before={"role": before} if before else None,
            after={"role": after} if after else None,
        )

    with database.read() as conn:
        assert (
            entry(4, Act.REMOVE_USER, "finance", None),
            entry(3, Act.SET_PASSWORD, None, None),
            entry(2, Act.SET_ROLE, "viewer", "finance"),
            entry(1, Act.ADD_USER, None, "viewer"),
        ) == audit.newest(conn, limit=10)


def test_an_invalid_change_is_refused_with_the_reason(database: Database) -> None:
    add(database, "finance")
    assert add(database, "finance") is UserFault.TAKEN
    assert add(database, " finance") is UserFault.BAD_NAME
    assert add(database, "x" * 65) is UserFault.BAD_NAME
    assert add(database, "wu", password="1234567") is UserFault.SHORT_PASSWORD
    assert users.remove_user(database, name="wu", by=CLI, now=NOW) is UserFault.NOBODY
    assert users.set_role(database, name="wu", role=Role.ADMIN, by=CLI, now=NOW) is UserFault.NOBODY


def test_an_admin_on_the_pages_can_not_lock_themselves_out(database: Database) -> None:
    add(database, "finance", Role.ADMIN)
    page = Actor(name="finance", via=Via.PAGE)
    assert users.remove_user(database, name="finance", by=page, now=NOW) is UserFault.YOURSELF
    assert users.set_role(database, name="finance", role=Role.VIEWER, by=page, now=NOW) is UserFault.YOURSELF
    assert users.remove_user(database, name="finance", by=CLI, now=NOW + timedelta(1)) is None
