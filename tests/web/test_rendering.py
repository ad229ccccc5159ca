"""The operator's own templates are used where they work; a page never depends on them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from balancebot.config import TemplatesConfig
from balancebot.domain.user import Role
from tests.web.conftest import Desk


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        (
            "{% extends 'layout.html.j2' %}{% block content %}Ours, {{ user.name }}{% endblock %}",
            "Ours, viewer",
        ),
        ("{{ nothing_of_this_name }}", "No change matches."),
        ("{% broken", "No change matches."),
        ("{{ 1 / 0 }}", "No change matches."),
    ],
)
def test_a_page_of_the_operator_s_own_replaces_ours_unless_it_fails(
    open_desk: Callable[..., Desk], tmp_path: Path, template: str, shown: str
) -> None:
    folder = tmp_path / shown  # pages are kept per folder, and pytest may use a name again
    (folder / "web").mkdir(parents=True)
    (folder / "web" / "audit.html.j2").write_text(template)
    desk = open_desk(templates=TemplatesConfig(dir=folder))
    with desk.user(Role.VIEWER) as browser:
        assert shown in browser.get("/audit?topic=plan").text
        assert 200 == browser.get("/me").status_code
