"""Users keep their roles and passwords; a downgrade drops users without a password."""

from sqlalchemy import text

from balancebot.domain.user import Role
from balancebot.store import users
from balancebot.store.database import Database
from tests.databases import alembic


def test_users_and_their_sessions_are_kept_both_ways(blank_url: str) -> None:
    alembic(blank_url, "upgrade", "0007")
    database = Database(blank_url)
    at = "2026-11-24 09:00:00.000000"
    with database.write() as conn:
        conn.execute(
            text(
                "INSERT INTO users (name, role, password_hash, created_at) VALUES ('ada', 'admin', 'hash', :at)"
            ),
            {"at": at},
        )
        conn.execute(
            text(
                "INSERT INTO sessions (token_hash, user_name, created_at, seen_at, expires_at)"
                " VALUES ('t', 'ada', :at, :at, :at)"
            ),
            {"at": at},
        )
    alembic(blank_url, "upgrade", "0008")
    with database.write() as conn:
        found = users.find(conn, "ada")
        assert found is not None
        assert (Role.ADMIN, "", "", False, "hash") == (
            found[0].role,
            found[0].language,
            found[0].time_zone,
            found[0].vouched,
            found[1],
        )
        conn.execute(
            text(
                "INSERT INTO users (name, role, password_hash, created_at, vouched)"
                " VALUES ('bob', 'viewer', '', :at, true)"
            ),
            {"at": at},
        )
    alembic(blank_url, "downgrade", "0007")
    with database.read() as conn:
        assert ["ada"] == list(conn.scalars(text("SELECT name FROM users")))
        assert ["t"] == list(conn.scalars(text("SELECT token_hash FROM sessions")))
    database.dispose()
