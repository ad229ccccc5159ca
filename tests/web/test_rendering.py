"""Custom templates of the operator are used if they work; a page never depends on them."""

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
def test_a_custom_template_replaces_the_built_in_page_unless_it_fails(
    open_desk: Callable[..., Desk], tmp_path: Path, template: str, shown: str
) -> None:
    folder = tmp_path / shown  # templates are cached per folder, and pytest may reuse a folder
    (folder / "web").mkdir(parents=True)
    (folder / "web" / "audit.html.j2").write_text(template)
    desk = open_desk(templates=TemplatesConfig(dir=folder))
    with desk.user(Role.VIEWER) as browser:
        assert shown in browser.get("/audit?topic=plan").text
        assert 200 == browser.get("/me").status_code
