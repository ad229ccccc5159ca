"""A token is shown once, stored as a hash, gives access to the API until it expires, and is named in the audit log."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from balancebot.config import Secret
from balancebot.domain.audit import Act, Actor, AuditEntry, Via
from balancebot.domain.user import ApiToken, Role
from balancebot.people import tokens
from balancebot.people.tokens import TokenFault
from balancebot.store import audit, tables
from balancebot.store.database import Database

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CLI = Actor(name="root", via=Via.CLI)
MINUTE = timedelta(minutes=1)


def add_token(database: Database, name: str = "grafana", *, expires_at: datetime | None = None) -> Secret:
    token = tokens.add_token(database, name=name, role=Role.VIEWER, expires_at=expires_at, by=CLI, now=NOW)
    assert isinstance(token, Secret)
    return token


def test_a_valid_token_is_accepted_and_its_use_is_recorded(database: Database) -> None:
    token = add_token(database)
    expected = ApiToken(name="grafana", role=Role.VIEWER, created_at=NOW, created_by="root", expires_at=None)
    assert (expected,) == tokens.list_tokens(database)
    assert expected == tokens.holder(database, token, now=NOW + MINUTE)
    assert NOW + MINUTE == tokens.list_tokens(database)[0].used_at
    assert tokens.holder(database, Secret(token.reveal() + "x"), now=NOW) is None
    assert tokens.holder(database, Secret(""), now=NOW) is None


def test_the_use_of_a_token_is_recorded_at_most_once_in_some_minutes(database: Database) -> None:
    token = add_token(database)
    tokens.holder(database, token, now=NOW)
    tokens.holder(database, token, now=NOW + 4 * MINUTE)
    assert NOW == tokens.list_tokens(database)[0].used_at
    tokens.holder(database, token, now=NOW + 5 * MINUTE)
    assert NOW + 5 * MINUTE == tokens.list_tokens(database)[0].used_at


def test_an_expired_or_removed_token_is_refused(database: Database) -> None:
    token = add_token(database, expires_at=NOW + MINUTE)
    assert tokens.holder(database, token, now=NOW) is not None
    assert tokens.holder(database, token, now=NOW + MINUTE) is None
    lasting = add_token(database, "backup")
    assert tokens.remove_token(database, name="backup", by=CLI, now=NOW) is None
    assert tokens.holder(database, lasting, now=NOW) is None


def test_the_database_and_the_audit_log_contain_no_token(database: Database) -> None:
    token = add_token(database, expires_at=NOW + MINUTE)
    tokens.remove_token(database, name="grafana", by=CLI, now=NOW)
    add_token(database, "backup")
    with database.read() as conn:
        rows = [tuple(row) for table in (tables.tokens, tables.audit) for row in conn.execute(select(table))]
        entries = audit.newest(conn, limit=2, about="grafana")
    assert token.reveal() not in str(rows)
    picture = {"role": "viewer", "expires_at": "2026-11-24T09:01:00+00:00"}
    assert (
        AuditEntry(
            id="2", at=NOW, actor="root", via=Via.CLI, act=Act.REMOVE_TOKEN, subject="grafana", before=picture
        ),
        AuditEntry(
            id="1", at=NOW, actor="root", via=Via.CLI, act=Act.ADD_TOKEN, subject="grafana", after=picture
        ),
    ) == entries


@pytest.mark.parametrize(
    ("name", "role", "fault"),
    [
        (" grafana", Role.VIEWER, TokenFault.BAD_NAME),
        ("", Role.VIEWER, TokenFault.BAD_NAME),
        ("grafana", Role.ADMIN, TokenFault.BAD_ROLE),
        ("taken", Role.VIEWER, TokenFault.TAKEN),
    ],
)
def test_an_invalid_token_is_refused_with_the_reason(
    database: Database, name: str, role: Role, fault: TokenFault
) -> None:
    add_token(database, "taken")
    assert fault is tokens.add_token(database, name=name, role=role, expires_at=None, by=CLI, now=NOW)
    assert TokenFault.NOBODY is tokens.remove_token(database, name="nobody", by=CLI, now=NOW)
