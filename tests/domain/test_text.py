"""Text from outside becomes one line that can be stored and printed anywhere."""

from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.sentence import clean_text


def test_control_and_formatting_characters_are_dropped_and_white_space_is_one_space():
    assert "red alert here" == clean_text("\x1bred\x00\n\t\u200balert\u202e \ud800 here")


def test_a_long_text_is_cut():
    assert "x" * 199 + "…" == clean_text("x" * 5000)
    assert "xxx…" == clean_text("x" * 5, at_most=4)


@given(st.text(st.characters(codec=None), max_size=400))
def test_any_text_becomes_a_line_that_can_be_stored_and_printed(text):
    line = clean_text(text)
    assert len(line) <= 200
    assert line.isprintable()
    line.encode()
