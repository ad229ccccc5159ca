"""A custom template that doesn't end costs two seconds and a line in the log, but no message."""

from pathlib import Path

import pytest

from balancebot.i18n import Wording
from balancebot.notify.render import Renderer
from tests.notify.examples import CRITICAL, STORM

RUNAWAYS = {
    "nested loops": "{% for a in range(9999) %}" * 3 + "{% endfor %}" * 3,
    "loops over a text": "{% for a in m.note*9 %}" * 9 + "{% endfor %}" * 9,
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) ~ f(n-1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    "a great width": "{{ '%1000000000d' % 1 }}",
    "a great width by a method": "{{ 'x'.ljust(10**9) }}",
    "a great width by a filter": "{{ 'x'|center(1000000000) }}",
    "a great width by a format": "{{ '{:>1000000000}'.format(1) }}",
    "a text times a number": "{{ 'x' * 1000000000 }}",
    "a high power": "{{ 10 ** 1000000000 }}",
    "a great width in the text of a format": "{{ '{:1000000000}'.format(1) }}",
    "a great width in a map": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "each letter by a long text": "{{ ('a' * 99999)|replace('a', 'a' * 99999) }}",
    "the same by a method": "{{ ('a' * 99999).replace('a', 'a' * 99999) }}",
    "each letter by a table": "{{ ('a' * 99999).translate({97: 'a' * 99999}) }}",
    "a long text between many": "{{ range(99999)|join('x' * 99999) }}",
    "the same by a method of it": "{{ ('x' * 99999).join('y' * 99999) }}",
    "a text that doubles": "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "a sum that doubles": "{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "lists of lists": "{% set n = namespace(x=1) %}{% for a in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n }}",
    "pairs of pairs": "{% set n = namespace(x=1) %}{% for a in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ n }}",
    "a number that squares": "{% set n = namespace(x=9) %}{% for a in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "powers of powers": "{{ (((9 ** 60) ** 60) ** 60) ** 60 }}",
    "much text": "{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}",
}


def rendered(folder: Path | None, template: str = "chat/alert.j2") -> str:
    words = Wording(language="en")
    return Renderer(words=words, public_url="https://b.example.com", user_dir=folder).render(
        template, CRITICAL
    )


@pytest.mark.parametrize("text", RUNAWAYS.values(), ids=RUNAWAYS)
def test_a_template_over_its_budget_is_replaced_and_reported(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "alert.j2").write_text(text)

    assert rendered(None) == rendered(tmp_path)
    assert "template_failed template=chat/alert.j2" in caplog.text


@pytest.mark.timing  # the bound is in seconds
def test_usual_templates_are_within_the_budget(tmp_path: Path) -> None:
    (tmp_path / "chat").mkdir()
    own = "{% import words_of as w %}{% for a in range(3) %}{{ '%05.1f' % a }} {{ 'x' * 3 }}{% endfor %}"
    own += " {{ w.title(m)|trim }}"
    (tmp_path / "chat" / "alert.j2").write_text(own)

    assert rendered(tmp_path).startswith("000.0 xxx001.0 xxx002.0 xxx Critical")


@pytest.mark.timing
def test_the_built_in_templates_stay_within_the_bounds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = Wording(language="en")
    own, built_in = (Renderer(words=words, user_dir=folder) for folder in (tmp_path, None))
    for template in ("slack/group.j2", "email/group.html.j2", "chat/group.j2"):
        assert built_in.render(template, STORM) == own.render(template, STORM)
    assert "template_failed" not in caplog.text
