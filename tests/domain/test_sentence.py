"""A sentence stores its English text and its parts, and is translated when it is shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.sentence import NO_SENTENCE, Sentence, sentence, verbatim
from balancebot.i18n import Wording

CHINESE = Wording(language="zh-CN")
BLACKLISTED = sentence(
    "%(status)s, code %(code)s: %(meaning)s",
    status=403,
    code=50036,
    meaning=sentence("the app is in a blacklist"),
)
texts = st.text(max_size=20)
sentences = st.recursive(
    st.builds(Sentence, texts),
    lambda parts: st.builds(
        Sentence,
        texts,
        st.dictionaries(texts, st.one_of(texts, st.integers(), parts), min_size=1, max_size=3),
    ),
    max_leaves=5,
)


def test_a_sentence_is_english_and_is_translated_with_its_nested_sentences() -> None:
    assert "403, code 50036: the app is in a blacklist" == str(BLACKLISTED)
    assert "403，错误码 50036：该应用在黑名单中" == CHINESE.translate(BLACKLISTED)


def test_a_sentence_can_be_stored_and_restored() -> None:
    assert BLACKLISTED == Sentence.restored(BLACKLISTED.stored())
    assert "403, code 50036: the app is in a blacklist" == str(Sentence.restored(BLACKLISTED.stored()))
    assert "no such host" == sentence("no such host").stored()


@given(sentences)
def test_any_sentence_with_parts_is_restored_as_it_was(original: Sentence) -> None:
    restored = Sentence.restored(original.stored())
    assert (restored == original) or (not original.parts and original.id.startswith("{"))
    assert isinstance(CHINESE.translate(restored), str)


@pytest.mark.parametrize(
    "text", ["acme: 50 % of it broke", "{", "{}", '{"id": 1, "parts": {}}', "%(name)s", "100%"]
)
def test_text_stored_by_an_older_version_is_shown_unchanged(text: str) -> None:
    assert text == CHINESE.translate(Sentence.restored(text))


def test_text_from_outside_is_not_translated() -> None:
    assert "100 % no such host" == CHINESE.translate(verbatim("100 % no such host"))
    assert (False, "", "") == (bool(NO_SENTENCE), str(NO_SENTENCE), NO_SENTENCE.stored())


def test_texts_of_nested_sentences_can_be_mapped() -> None:
    original = sentence("%(fault)s; %(hint)s", fault=BLACKLISTED, hint=verbatim("key-0123"))
    hidden = original.mapped(lambda text: text.replace("key-0123", "***"))
    assert "403, code 50036: the app is in a blacklist; ***" == str(hidden)
    assert "key-0123" not in json.dumps(hidden.stored())
