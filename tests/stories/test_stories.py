"""Every message of a day is kept word for word; `pytest --update-golden` writes them anew for the eye to judge."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stories.stories import STORIES

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_day_reads_as_it_did(
    request: pytest.FixtureRequest, story: Callable[[str, Callable[[str], None]], None], language: str
) -> None:
    said: list[str] = []
    story(language, said.append)
    text = "\n".join(line.rstrip() for part in said for line in part.splitlines()) + "\n"
    kept = GOLDEN / language / f"{story.__name__}.txt"
    if request.config.getoption("--update-golden"):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text, encoding="utf-8")

    assert kept.read_text(encoding="utf-8") == text
