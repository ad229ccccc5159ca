"""A row with a corrupt value ends a command with one line that names the row."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from tests.cli.daemon import running, until
from tests.cli.firm import Firm

Run = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE wallets SET industry = 'many' WHERE id = 2", "table wallets, id 2: industry holds"),
        ("UPDATE wallets SET observed_at = x'00ff'", "table wallets, id 1: observed_at holds"),
        ("UPDATE balances SET burn_per_day = 'fast'", "table balances, wallet_id 1"),
        ("UPDATE alerts SET context = '{'", "table alerts, id 1: what context holds can't be read"),
        ("UPDATE alerts SET severity = 'awful'", "table alerts, id 1: what severity holds can't be read"),
    ],
)
def test_a_corrupt_row_is_named_in_one_line(
    firm: Firm, balancebot: Run, tmp_path: Path, change: str, words: str
) -> None:
    balancebot("thresholds", "set", "*", "*", "--critical-below", "200000")
    balancebot("poll")
    with sqlite3.connect(tmp_path / "balancebot.db") as connection:
        connection.execute(change)
    connection.close()

    for command in (("status",), ("status", "--json"), ("alerts", "list"), ("db", "check"), ("poll",)):
        outcome = balancebot(*command)
        named = [line for line in outcome.err.splitlines() if words in line]
        assert "Traceback" not in outcome.err, command
        if outcome.status:
            assert named, (command, outcome.err)
        if command in {("status",), ("db", "check")}:
            assert (1, True) == (outcome.status, bool(named)), command


def test_every_command_names_the_damaged_wallet_and_the_other_wallets_are_read_and_shown(
    firm: Firm, balancebot: Run, tmp_path: Path
) -> None:
    balancebot("thresholds", "set", "*", "*", "--critical-below", "1")
    balancebot("poll")
    with sqlite3.connect(tmp_path / "balancebot.db") as connection:
        (damaged,) = connection.execute("SELECT name FROM wallets WHERE id = 1").fetchone()
        others = [name for (name,) in connection.execute("SELECT name FROM wallets WHERE id <> 1")]
        connection.execute("UPDATE wallets SET next_read_reason = 'awful' WHERE id = 1")
    connection.close()
    message = f"{damaged} is neither read nor judged: table wallets, id 1: what next_read_reason holds can't be read"

    shown = balancebot("status")
    assert (1, f"{message}\n") == (shown.status, shown.err)
    assert others
    assert all(name in shown.out for name in others)
    polled = balancebot("poll")
    assert (1, True) == (polled.status, message in polled.err)
    assert all(name in polled.out for name in others)
    checked = balancebot("check", "--offline")
    assert (1, True) == (checked.status, f"FAIL  database: {message}" in checked.out)
    assert f"{damaged}: not watched any more" in json.dumps(firm.slack.messages("ops-alerts"))


def test_the_daemon_finds_a_damaged_database_page_that_was_not_read_yet(
    firm: Firm, balancebot: Run, tmp_path: Path
) -> None:
    file = tmp_path / "balancebot.db"
    assert 0 == balancebot("poll").status
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sessions'").fetchone()
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * 4096)
        opened.write(bytes(4096))

    with running(tmp_path):
        until(lambda: "The database's file is damaged" in json.dumps(firm.slack.messages("ops-alerts")))
        shown, checked = balancebot("status"), balancebot("check", "--offline")

    assert (1, True) == (shown.status, "the file is damaged: " in shown.err)
    assert (1, True) == (checked.status, "FAIL  database: the file is damaged: " in checked.out)
