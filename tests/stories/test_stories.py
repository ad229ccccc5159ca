"""Every message of a day equals its golden file; `pytest --update-golden` updates the files, to be reviewed by a person."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.stories.stories import STORIES, NewStory, new_story

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_messages_of_a_day_equal_the_golden_file(
    request: pytest.FixtureRequest, sqlite_template: Path, story: Callable[[NewStory], None], language: str
) -> None:
    lines: list[str] = []
    story(partial(new_story, language=language, say=lines.append, migrated=sqlite_template))
    text = "\n".join(line.rstrip() for part in lines for line in part.splitlines()) + "\n"
    golden = GOLDEN / language / f"{story.__name__}.txt"
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")

    assert golden.read_text(encoding="utf-8") == text
