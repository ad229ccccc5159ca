"""Patterns for tests."""

from balancebot.domain.pattern import Pattern


def pattern_from(text: str) -> Pattern:
    """Return the pattern that `text` means; fail if it is invalid."""
    parsed = Pattern.parse(text)
    assert isinstance(parsed, Pattern), parsed
    return parsed
