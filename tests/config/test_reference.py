"""The reference and the template come from the declarations and contain every key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from balancebot.config.declare import KeySpec, TableSpec, declared
from balancebot.config.reference import reference_markdown, reference_text, template
from balancebot.config.settings import CHANNELS, Settings
from balancebot.config.toml_table import parse_toml

_DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def _tables(section: type = Settings) -> Iterator[type]:
    yield section
    for spec in declared(section, CHANNELS):
        if isinstance(spec, TableSpec):
            yield from _tables(spec.section)


_SECTIONS = list(_tables())
_KEYS = [
    pytest.param(spec, id=f"{section.__name__}.{spec.name}")
    for section in _SECTIONS
    for spec in declared(section, CHANNELS)
    if isinstance(spec, KeySpec)
]


def test_the_reference_page_is_the_output_of_the_command() -> None:
    assert _DOCS.read_text(encoding="utf-8") == reference_markdown(), (
        "run `balancebot config reference --format md > docs/configuration.md`"
    )


@pytest.mark.parametrize("spec", _KEYS)
def test_every_key_is_documented_in_one_line(spec: KeySpec) -> None:
    assert spec.doc
    assert "\n" not in spec.doc
    assert not spec.doc.endswith(".")
    assert f"{spec.name} = " in template()
    assert f"| `{spec.name}` |" in reference_markdown()
    assert f"\n  {spec.name} " in reference_text()


@pytest.mark.parametrize("spec", _KEYS)
def test_the_template_shows_a_valid_toml_value_for_every_key(spec: KeySpec) -> None:
    assert spec.example or spec.default is not None, "it has neither a default nor an example"
    if spec.example:
        assert {"x"} == parse_toml(f"x = {spec.example}".encode()).keys()


@pytest.mark.parametrize("section", _SECTIONS[1:])
def test_a_section_is_described_by_its_docstring(section: type) -> None:
    first = " ".join((section.__doc__ or "").partition("\n\n")[0].split())
    assert first.endswith(".")
    assert f"# {first}\n" in template()
    assert first in reference_markdown()


def test_a_comment_of_the_template_fits_the_screen() -> None:
    assert [] == [line for line in template().splitlines() if len(line) > 120]


def test_the_examples_contain_no_literal_secret() -> None:
    for parameter in _KEYS:
        (spec,) = parameter.values
        if spec.kind.is_secret and "web address" not in spec.kind.label:
            assert spec.example.startswith(('"env:', '"file:'))
