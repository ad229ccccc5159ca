"""A sentence keeps its English and its parts, in the database too, and is translated where somebody reads it."""

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


def test_it_is_english_by_itself_and_translated_with_the_sentences_in_it() -> None:
    assert "403, code 50036: the app is in a blacklist" == str(BLACKLISTED)
    assert "403，错误码 50036：该应用在黑名单中" == CHINESE.translate(BLACKLISTED)


def test_it_survives_the_database() -> None:
    assert BLACKLISTED == Sentence.restored(BLACKLISTED.stored())
    assert "403, code 50036: the app is in a blacklist" == str(Sentence.restored(BLACKLISTED.stored()))
    assert "no such host" == sentence("no such host").stored()


@given(sentences)
def test_any_sentence_with_parts_is_restored_as_it_was(told: Sentence) -> None:
    restored = Sentence.restored(told.stored())
    assert (restored == told) or (not told.parts and told.id.startswith("{"))
    assert isinstance(CHINESE.translate(restored), str)


@pytest.mark.parametrize(
    "text", ["acme: 50 % of it broke", "{", "{}", '{"id": 1, "parts": {}}', "%(name)s", "100%"]
)
def test_what_an_older_version_stored_is_shown_as_it_is(text: str) -> None:
    assert text == CHINESE.translate(Sentence.restored(text))


def test_foreign_words_stay_as_they_came() -> None:
    assert "100 % no such host" == CHINESE.translate(verbatim("100 % no such host"))
    assert (False, "", "") == (bool(NO_SENTENCE), str(NO_SENTENCE), NO_SENTENCE.stored())


def test_its_texts_can_be_changed_to_any_depth() -> None:
    told = sentence("%(fault)s; %(hint)s", fault=BLACKLISTED, hint=verbatim("key-0123"))
    hidden = told.mapped(lambda text: text.replace("key-0123", "***"))
    assert "403, code 50036: the app is in a blacklist; ***" == str(hidden)
    assert "key-0123" not in json.dumps(hidden.stored())
