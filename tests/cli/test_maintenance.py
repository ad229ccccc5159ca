"""`db`, `history`, `users`, `tokens`: backups, imports and exports. None of them needs a secret."""

import io
import json
import re
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from balancebot.store.backup import back_up
from balancebot.store.database import Database
from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]
pytestmark = pytest.mark.usefixtures("config")

_HISTORY = """\
observed_at,wallet,category,balance
2026-11-01T00:00:00Z,acme/checkout,industry,1000
2026-11-01T01:00:00Z,acme/checkout,industry,990
2026-11-01T01:00:00Z,acme/checkout,voice,
"""


def test_a_database_is_created_on_first_use(balancebot: Run, tmp_path: Path) -> None:
    outcome = balancebot("db", "upgrade")
    assert (0, f"{tmp_path / 'balancebot.db'}: up to date\n") == (outcome.status, outcome.out)


def test_a_backup_is_a_usable_database_and_overwrites_nothing(balancebot: Run, tmp_path: Path) -> None:
    balancebot("thresholds", "set", "acme", "voice", "--warning-days", "5")
    assert 0 == balancebot("db", "backup", "copy.db").status
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert [("acme", 5.0)] == copy.execute("SELECT wallet, warning_days FROM thresholds").fetchall()
    copy.close()
    again = balancebot("db", "backup", "copy.db")
    assert (1, "copy.db exists already; a backup overwrites nothing\n") == (again.status, again.err)


def test_a_backup_is_restored_and_checked(balancebot: Run, tmp_path: Path) -> None:
    place = tmp_path / "balancebot.db"
    database = Database(f"sqlite:///{place}")
    database.upgrade()
    back_up(database, tmp_path / "copy.db")
    refused = balancebot("db", "restore", "copy.db")
    assert 1 == refused.status
    assert refused.err.startswith(f"database {place} is in use: stop every balancebot")
    database.dispose()
    outcome = balancebot("db", "restore", "copy.db")
    assert (0, "") == (outcome.status, outcome.err)
    assert outcome.out.startswith(f"{place}: restored from copy.db; the previous database is {place}.before-")
    assert (0, f"{place}: whole\n") == ((checked := balancebot("db", "check")).status, checked.out)


def test_a_file_that_is_not_a_backup_is_refused(balancebot: Run, tmp_path: Path) -> None:
    balancebot("db", "upgrade")
    (tmp_path / "notes.txt").write_text("hello " * 1000)
    outcome = balancebot("db", "restore", "notes.txt")
    assert (1, "notes.txt is no backup of balancebot: file is not a database\n") == (
        outcome.status,
        outcome.err,
    )


def test_database_and_exports_are_readable_only_by_their_owner(balancebot: Run, tmp_path: Path) -> None:
    balancebot("thresholds", "export", "limits.csv")
    balancebot("history", "export", "history.csv")
    for name in ("balancebot.db", "limits.csv", "history.csv"):
        assert 0o600 == stat.S_IMODE((tmp_path / name).stat().st_mode), name


def test_wrong_readings_are_listed(balancebot: Run, tmp_path: Path) -> None:
    assert "No reading was taken back by the next one.\n" == balancebot("history", "wrong").out
    course = [(0, 1_000), (5, 10_000), (10, 990)]
    lines = [f"2026-11-01T00:{minute:02}:00Z,acme/checkout,industry,{left}\n" for minute, left in course]
    (tmp_path / "past.csv").write_text("observed_at,wallet,category,balance\n" + "".join(lines))
    balancebot("history", "import", "past.csv")

    out = balancebot("history", "wrong", "acme/*").out
    assert "2026-11-01 00:05  acme/checkout:industry         10,000           1,000" in out
    (wrong,) = json.loads(balancebot("history", "wrong", "--json").out)["wrong_readings"]
    assert {
        "at": "2026-11-01T00:05:00Z",
        "wallet": "acme/checkout",
        "category": "industry",
        "reading": 10_000,
        "instead": 1_000,
    } == wrong
    assert balancebot("history", "export", "--remarks", "-").out.splitlines()[2].endswith(",wrong reading")


def test_pruning_prints_what_was_removed(balancebot: Run) -> None:
    outcome = balancebot("db", "prune")
    assert 0 == outcome.status
    assert outcome.out.startswith("removed 0 snapshots, ")


def test_an_imported_history_is_exported_unchanged(balancebot: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(_HISTORY)
    message = "imported 3 readings of 1 wallet, 2026-11-01 00:00 to 2026-11-01 01:00 UTC\n"
    for _ in range(2):
        assert (0, message) == ((outcome := balancebot("history", "import", "in.csv")).status, outcome.out)
    assert 0 == balancebot("history", "export", "out.csv").status
    exported = sorted((tmp_path / "out.csv").read_text().splitlines())
    assert sorted(_HISTORY.splitlines()) == exported


def test_a_history_with_a_faulty_line_is_refused_completely(balancebot: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(_HISTORY + "2026-11-01T02:00:00,acme,voice,5\n")
    outcome = balancebot("history", "import", "in.csv")
    assert (1, "") == (outcome.status, outcome.out)
    assert "in.csv: line 5, observed_at: " in outcome.err
    assert "Nothing was imported." == outcome.err.splitlines()[-1]
    assert 1 == len(balancebot("history", "export", "-").out.splitlines())


def test_users_are_added_listed_and_removed(balancebot: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a long secret\n"))
    assert "added oncall as finance\n" == balancebot("users", "add", "oncall", "--role", "finance").out
    assert ["oncall", "finance"] == balancebot("users", "list").out.splitlines()[1].split()[:2]
    (user,) = json.loads(balancebot("users", "list", "--json").out)["users"]
    assert user.pop("created_at").endswith("Z")
    assert {"name": "oncall", "role": "finance"} == user
    assert "oncall is admin now\n" == balancebot("users", "role", "oncall", "admin").out
    assert 0 == balancebot("users", "remove", "oncall").status
    outcome = balancebot("users", "remove", "oncall")
    assert (1, "No user has this name.\n") == (outcome.status, outcome.err)


def test_a_short_password_is_refused(balancebot: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    outcome = balancebot("users", "add", "oncall", "--role", "viewer")
    assert (1, "A password has at least 8 characters.\n") == (outcome.status, outcome.err)


def test_a_token_is_printed_once_listed_and_removed(balancebot: Run) -> None:
    added = balancebot("tokens", "add", "grafana", "--role", "viewer", "--expires", "90d")
    assert (0, "") == (added.status, added.err)
    assert re.fullmatch(r"balancebot_[A-Za-z0-9_-]{43}\n", added.out)
    listed = balancebot("tokens", "list").out
    assert added.out.strip() not in listed
    assert ["grafana", "viewer"] == listed.splitlines()[1].split()[:2]
    (token,) = json.loads(balancebot("tokens", "list", "--json").out)["tokens"]
    assert ("grafana", "viewer", False, None) == (
        token["name"],
        token["role"],
        token["expired"],
        token["used_at"],
    )
    assert "removed grafana\n" == balancebot("tokens", "remove", "grafana").out
    assert (1, "No token has this name.\n") == (
        (again := balancebot("tokens", "remove", "grafana")).status,
        again.err,
    )


def test_a_token_with_role_admin_or_an_invalid_duration_is_wrong_usage(balancebot: Run) -> None:
    for words in (("--role", "admin"), ("--role", "viewer", "--expires", "soon")):
        outcome = balancebot("tokens", "add", "grafana", *words)
        assert 2 == outcome.status
        assert words[-2] in outcome.err
    assert "There is no token yet" in balancebot("tokens", "list").out
