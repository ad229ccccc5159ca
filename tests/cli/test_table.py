"""Tables and colours: aligned in any writing system, never cut, coloured only on a terminal."""

import io
import sys

import pytest

from balancebot.cli.output import Column, is_coloured, of_severity, text_table
from balancebot.domain.verdict import Severity


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_text_is_aligned_left_and_numbers_right_in_any_writing_system() -> None:
    columns = (Column("wallet"), Column("left", is_number=True), Column("note"))
    assert (
        "wallet      left  note\n"  #
        "acme       1,000\n"
        "acme/结账      5  here"
    ) == text_table(columns, [("acme", "1,000", ""), ("acme/结账", "5", "here")])


def test_long_values_are_never_cut() -> None:
    assert "x" * 500 in text_table((Column("note"),), [("x" * 500,)])


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_used_only_on_terminals_that_allow_them(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured is is_coloured(_Terminal())
    assert is_coloured(io.StringIO()) is False


def test_colours_do_not_change_the_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = text_table((Column("severity"), Column("x")), [("critical", "1"), ("ok", "2")])
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", _Terminal())
    painted = text_table(
        (Column("severity"), Column("x")),
        [(of_severity("critical", Severity.CRITICAL), "1"), (of_severity("ok", Severity.OK), "2")],
    )
    assert "\x1b[31mcritical\x1b[0m  1" in painted
    assert plain.splitlines()[2] == painted.splitlines()[2].replace("\x1b[32m", "").replace("\x1b[0m", "")
