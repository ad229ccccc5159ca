"""Every sentence of the pages stands in both languages, with the same figures in it."""

import re
from pathlib import Path
from string import Formatter

from balancebot.config import Language
from balancebot.domain.user import Role
from balancebot.packaged import packaged
from balancebot.people.users import UserFault
from balancebot.web import audit
from balancebot.web.flash import Done
from balancebot.web.phrases import translations

_TEMPLATES = packaged("templates") / "web"
_CODE = Path(audit.__file__).parent
_IN_TEMPLATES = re.compile(r'\b_\(\s*(?:"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\')')
_IN_CODE = re.compile(
    r'(?:phrases\([^()]*\)|words|phrases|_trouble\(request, \d+,|HTTPException\(\d+,|fault=)\(?\s*"([A-Z{][^"]*)"'
)


def sentences() -> set[str]:
    """Return every sentence that a page may say, as it stands in templates and code."""
    found = {one.value for kind in (Done, UserFault, Role) for one in kind} | set(audit._LABELS.values())
    for file in _TEMPLATES.glob("*.j2"):
        for double, single in _IN_TEMPLATES.findall(file.read_text(encoding="utf-8")):
            found.add((double or single).replace("\\'", "'"))
    for file in _CODE.glob("*.py"):
        found.update(_IN_CODE.findall(file.read_text(encoding="utf-8")))
    return found


def figures(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_sentence_has_its_chinese_with_the_same_figures() -> None:
    chinese = translations(Language.CHINESE)
    assert set() == {sentence for sentence in sentences() if sentence not in chinese}
    assert [] == [english for english, said in chinese.items() if figures(english) != figures(said)]


def test_no_translation_is_left_over() -> None:
    said_in_code = "".join(file.read_text(encoding="utf-8") for file in _CODE.glob("*.py"))
    left = set(translations(Language.CHINESE)) - sentences()
    assert set() == {sentence for sentence in left if sentence not in said_in_code}
