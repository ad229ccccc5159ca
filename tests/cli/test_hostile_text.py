"""Hostile text from people and servers neither controls a terminal nor breaks JSON in any command."""

import json
from collections.abc import Callable
from pathlib import Path

from balancebot.store.database import Database
from tests.cli.conftest import Outcome
from tests.cli.firm import CHECKOUT, Firm
from tests.hostile_text import HOSTILE_TEXTS, INVISIBLE, write_everywhere

HOSTILE = "\n".join(HOSTILE_TEXTS.values())
BALANCE = f"{CHECKOUT}:industry"


def test_no_command_prints_control_characters(
    firm: Firm, balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    made: tuple[tuple[str, ...], ...] = (
        ("thresholds", "set", str(CHECKOUT), "industry", "--critical-below", "200000", "--note", "x"),
        ("poll",),
        ("orders", "add", str(CHECKOUT), "industry", "5", "--expected", "2030-01-01"),
        ("plans", "add", BALANCE, "5", "--at", "tomorrow 10:00"),
        ("silence", BALANCE, "--for", "4h", "--reason", "x"),
    )
    for words in made:
        balancebot(*words)
    database = Database(f"sqlite:///{tmp_path}/balancebot.db")
    with database.write() as conn:
        write_everywhere(conn, HOSTILE)
    database.dispose()
    shown: tuple[tuple[str, ...], ...] = (
        ("status",), ("status", "--json"), ("why", BALANCE), ("alerts", "list", "--all"), ("alerts", "list", "--json"),
        ("thresholds", "list"), ("thresholds", "list", "--json"), ("thresholds", "history"), ("orders", "list"),
        ("orders", "list", "--json"), ("plans", "list"), ("silences", "list"), ("deliveries", "list", "--all"),
        ("deliveries", "list", "--all", "--json"), ("check", "--offline"), ("advise",), ("poll",),
    )  # fmt: skip
    for command in shown:
        outcome = balancebot(*command)
        output = outcome.out + outcome.err
        assert outcome.out, command
        assert "Traceback" not in output, command
        assert (command, set()) == (command, set(INVISIBLE) & set(output))
        if "--json" in command:
            json.loads(outcome.out)
