"""Every sentence is translated into every language, and no page loads a language that it doesn't use."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from tools import messages

CATALOGUES = messages.catalogues()


@cache
def sources() -> Catalog:
    """A fixture, because every worker would read the package during collection, which takes seconds."""
    return messages.collected()


every_language = pytest.mark.parametrize("po", CATALOGUES, ids=lambda po: po.parts[-3])


def test_there_are_catalogues() -> None:
    assert "zh_CN" in [po.parts[-3] for po in CATALOGUES]
    assert len(sources()) > 150


@every_language
def test_every_sentence_is_translated_not_fuzzy_and_has_the_figures_of_the_english_text(
    po: Path,
) -> None:
    assert [] == list(messages.faults(messages.updated(po, sources())))


@every_language
def test_a_catalogue_and_its_compiled_file_match_the_sources(po: Path) -> None:
    assert messages.is_current(po, messages.updated(po, sources())), "run `make messages`"


@every_language
def test_a_translation_has_no_markup(po: Path) -> None:
    marked = {
        text
        for message in messages.updated(po, sources())
        if message.id
        for form in (message.id, message.string)
        for text in ([form] if isinstance(form, str) else form)
        if set(text) & set("<>&")
    }
    assert set() == marked


def test_the_check_finds_missing_and_fuzzy_translations_and_other_figures() -> None:
    catalogue = Catalog()
    catalogue.add("a", "")
    catalogue.add("b", "B", flags=["fuzzy"])
    catalogue.add("%(n)s left", "%(m)s")
    catalogue.add(("%(num)s day", "%(num)s days"), ("%(num)s T",))
    catalogue.add("50 %% sure", "50 % sure")
    assert ["untranslated", "fuzzy", "other figures", "other figures"] == [
        fault.partition(":")[0] for fault in messages.faults(catalogue)
    ]


def test_english_loads_no_locale_data() -> None:
    code = (
        "import sys; from datetime import UTC, datetime; from balancebot.i18n import Wording; words = Wording()\n"
        "words.when(datetime(2026, 1, 1, tzinfo=UTC)), words.messages(1000)\n"
        "sys.exit('babel' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
