"""Requests that no browser sends get a client error, and never a 5xx."""

import pytest
from starlette.routing import Route

from balancebot.domain.audit import Actor, Via
from balancebot.domain.user import Role
from balancebot.people.users import add_user
from balancebot.store.database import Database
from balancebot.web.app import create_pages
from tests.web.browser import PASSWORD
from tests.web.conftest import NOW, Desk, csrf_token
from tests.world import SHOP, HandClock, World, industry


@pytest.fixture
def world(database: Database) -> World:
    """A bot on each database: they accept different text."""
    by = Actor(name="root", via=Via.CLI)
    for role in Role:
        add_user(database, name=role.value, role=role, password=PASSWORD, by=by, now=NOW)
    world = World(database, clock=HandClock(NOW))
    world.shows(industry(300))
    world.configure(SHOP)
    world.poll()
    return world


ADDRESSES = (
    "/wallets/%00",
    "/wallets/%FF",
    "/wallets/acme%2F..%2Fshop",
    "/wallets/" + "a" * 4000,
    "/?q=%00",
    "/?q=%FF",
    "/?page=-1",
    "/?page=99999999",
    "/?q=" + "a" * 4000,
    "/alerts/%00",
    "/alerts/%D9%A1%D9%A2",
    "/alerts/9999999999999999999",
    "/alerts?q=%00&show=past",
    "/alerts?page=0",
    "/audit?q=%00&page=1e9",
    "/audit?q=%25_%5C",
    "/thresholds?q=%00&view=balances",
    "/thresholds?page=999999",
    "/thresholds/edit?wallet=%00&category=%00",
    "/thresholds/line?wallet=%00",
    "/orders/advice?until=0000-00-00&certainty=x&page=x&q=a:b:c",
    "/orders/advice?until=9999-12-31",
    "/login?next=%00",
)


FIELDS = [
    "name",
    "password",
    "role",
    "present",
    "wallet",
    "category",
    "warning_below",
    "note",
    "seen",
    "pattern",
    "reason",
    "for",
    "expects_by",
    "messages",
    "starts_at",
    "hours",
    "changes",
]


def test_no_address_gets_a_5xx(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        answers = {address: browser.get(address).status_code for address in ADDRESSES}
    assert {} == {address: status for address, status in answers.items() if status >= 500}


def test_no_form_field_gets_a_5xx(desk: Desk) -> None:
    fields = dict.fromkeys(FIELDS, "\0\ufffd" + "x" * 3000)
    with desk.user(Role.ADMIN) as browser:
        fields["csrf_token"] = csrf_token(browser)
        assert browser.post("/login", data={"name": "\0", "password": "\0"}).status_code == 401
        for route in create_pages(desk.app, metrics=bytes).routes:
            if isinstance(route, Route) and "POST" in (route.methods or ()) and route.path != "/logout":
                address = route.path.replace("{id}", "%00").replace("{delivery}", "%00")
                assert browser.post(address, data=fields).status_code < 500, address


def test_the_refusal_of_a_method_names_the_allowed_ones(desk: Desk) -> None:
    with desk.visitor() as visitor:
        answer = visitor.delete("/thresholds")
    assert (405, {"GET", "HEAD"}) == (answer.status_code, set(answer.headers["allow"].split(", ")))
