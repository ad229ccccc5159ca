"""`runway`: estimates for any series, from a file or line by line, without a configuration."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from tests.patience import PATIENCE

_BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Ten days in which a balance falls by 10 an hour, beside one that is unallocated."""
    hours = [(_BEGIN + timedelta(hours=hour)).isoformat() for hour in range(240)]
    lines = ["observed_at,wallet,category,balance"]
    lines += [f"{at},acme/checkout,industry,{10_000 - 10 * hour}" for hour, at in enumerate(hours)]
    lines += [f"{hours[-1]},acme,voice,"]
    path = tmp_path / "history.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_file_gives_one_object_per_balance(history: Path, balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("runway", str(history), "--json")
    assert (0, "") == (outcome.status, outcome.err)
    voice, industry = map(json.loads, outcome.out.splitlines())
    assert {
        "id": "acme:voice",
        "burn_per_day": None,
        "p10": None,
        "p50": None,
        "p90": None,
        "unknown": True,
    } == voice
    assert "acme/checkout:industry" == industry["id"]
    assert 240 == pytest.approx(industry["burn_per_day"], rel=0.1)
    assert 760 == pytest.approx(industry["p50"], rel=0.1)


def test_a_file_is_shown_as_a_table(history: Path, balancebot: Callable[..., Outcome]) -> None:
    header, voice, industry = balancebot("runway", str(history)).out.splitlines()
    assert ["balance", "left", "burn a day", "runway", "last reading"] == [
        cell.strip() for cell in header.split("  ") if cell.strip()
    ]
    assert ["acme:voice", "—", "2026-11-10 23:00"] == [c.strip() for c in voice.split("  ") if c.strip()]
    assert industry.startswith("acme/checkout:industry  7,610")


def test_each_line_is_answered_before_the_next_is_read() -> None:
    asked = subprocess.Popen(
        [sys.executable, "-m", "balancebot", "runway", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asked.stdin is not None
    assert asked.stdout is not None
    answers = []
    for name in ("a", "b"):
        asked.stdin.write(json.dumps({"id": name, "now": 600, "ts": [0, 600], "balance": [5, 5]}) + "\n")
        asked.stdin.flush()
        answers.append(json.loads(asked.stdout.readline())["id"])
    asked.stdin.close()
    assert 0 == asked.wait(PATIENCE)
    asked.stdout.close()
    assert ["a", "b"] == answers


def test_an_invalid_line_gets_an_error_and_fails_the_command(
    balancebot: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'\xff\n\n{"id": 7, "now": 1}\n')))
    outcome = balancebot("runway", "--jsonl")
    assert (1, [None, 7]) == (outcome.status, [json.loads(line)["id"] for line in outcome.out.splitlines()])


def test_a_faulty_file_is_refused_with_every_faulty_line(
    tmp_path: Path, balancebot: Callable[..., Outcome]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(
        "observed_at,wallet,category,balance\nyesterday,acme,voice,1\n2026-11-01T00:00:00Z,acme,fax,1\n"
    )
    outcome = balancebot("runway", str(path))
    assert (1, "") == (outcome.status, outcome.out)
    assert ["line 2, observed_at", "line 3, category"] == [
        line.removeprefix(f"{path}: ").partition(":")[0] for line in outcome.err.splitlines()
    ]


@pytest.mark.parametrize(
    "words", [("nowhere.csv",), ("--jsonl", "--tz", "Mars"), ("--json",)], ids=["file", "zone", "neither"]
)
def test_wrong_usage_is_status_2(words: tuple[str, ...], balancebot: Callable[..., Outcome]) -> None:
    outcome = balancebot("runway", *words)
    assert (2, "") == (outcome.status, outcome.out)


def test_control_characters_in_names_are_not_printed(
    balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    file = tmp_path / "h.csv"
    names = "acme/\x1b]0;title\x07, acme/\x1b[2J, acme/\x9b31m, acme/\u202egnp"
    rows = [f"2026-11-01T00:00:00Z,{name},industry,100" for name in names.split(", ")]
    file.write_text("\n".join(["observed_at,wallet,category,balance", *rows]))
    outcome = balancebot("runway", str(file))
    assert (0, 4) == (outcome.status, outcome.out.count("acme/"))
    assert set() == set(outcome.out) & set("\x1b\x07\x9b\u202e")
