"""`config reference` lists every key, without a configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from balancebot.config.reference import reference_markdown, reference_text
from tests.cli.conftest import Outcome


@pytest.mark.parametrize(
    ("words", "expected"), [((), reference_text()), (("--format", "md"), reference_markdown())]
)
def test_it_prints_the_reference(
    words: tuple[str, ...], expected: str, balancebot: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = balancebot("config", "reference", *words)
    assert (0, expected, "") == (outcome.status, outcome.out, outcome.err)
    assert [] == list(tmp_path.iterdir())


def test_another_format_is_wrong_usage(balancebot: Callable[..., Outcome]) -> None:
    assert 2 == balancebot("config", "reference", "--format", "pdf").status
