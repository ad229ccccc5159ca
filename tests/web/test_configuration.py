"""A refused configuration is shown at the top of every page, with its faults for admins."""

from datetime import UTC, datetime
from html import unescape

from balancebot.domain.user import Role
from balancebot.store import installation
from balancebot.store.configurations import RunningConfiguration
from tests.web.conftest import Desk

REFUSED = RunningConfiguration(
    worker_id="x",
    host="a",
    pid=7,
    at=datetime(2026, 11, 30, 9, tzinfo=UTC),
    faults=("balancebot.toml: poll.timeuot: is unknown; did you mean timeout?",),
    needs_restart=("[database].url",),
)


def test_everyone_sees_that_a_configuration_was_refused_and_admins_see_why(desk: Desk) -> None:
    desk.pages.state.configuration = lambda: REFUSED
    for role in Role:
        with desk.user(role) as browser:
            page = unescape(browser.get("/").text)
        assert "The configuration can't be used; the earlier one stays in force." in page
        assert (role is Role.ADMIN) is ("did you mean timeout?" in page)
        assert (role is Role.ADMIN) is ("[database].url" in page)


def test_readyz_names_the_faults_of_a_configuration_and_is_still_ready(desk: Desk) -> None:
    desk.pages.state.configuration = lambda: REFUSED
    desk.pages.state.unready = lambda: ""
    with desk.visitor() as visitor:
        answer = visitor.get("/readyz")
    assert (200, "ready") == (answer.status_code, answer.text.splitlines()[0])
    assert REFUSED.faults[0] in answer.text


def test_readyz_names_excluded_wallets_and_is_still_ready(desk: Desk) -> None:
    desk.pages.state.unready = lambda: ""
    damage = "table wallets, id 1: what booked_at holds can't be read"
    with desk.app.database.write() as conn:
        installation.note(conn, "set_aside:acme/shop", damage, now=datetime(2026, 11, 30, 9, tzinfo=UTC))
    with desk.visitor() as visitor:
        answer = visitor.get("/readyz")
    assert (200, f"ready\nacme/shop is neither read nor judged: {damage}\n") == (
        answer.status_code,
        answer.text,
    )
