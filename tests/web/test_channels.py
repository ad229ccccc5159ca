"""The page of channels: the state of each destination, test messages, and the routing preview."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import httpx

from balancebot.config import RouteConfig
from balancebot.config.sections import EscalationConfig, QuietConfig
from balancebot.config.values import daily_hours
from balancebot.domain.routing import Destination
from balancebot.domain.user import Role
from balancebot.domain.verdict import Severity
from balancebot.ports import ChannelErrorKind
from balancebot.store import channel_failures
from balancebot.store.notification_history import destination_summaries
from tests.outbox_bench import fails
from tests.patterns import pattern_from
from tests.web.conftest import Desk
from tests.world import OPS, SHOP, industry


def send_test(desk: Desk, browser: httpx.Client, destination: Destination) -> httpx.Response:
    token = browser.get("/channels").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    channel, address = destination
    form = {"csrf_token": token, "channel": channel, "destination": address}
    return browser.post("/channels/test", data=form)


def test_an_admin_sends_a_test_that_goes_through_the_outbox(desk: Desk) -> None:
    with desk.user(Role.ADMIN) as browser:
        assert "none yet" in browser.get("/channels").text
        answer = send_test(desk, browser, OPS)
        assert (303, "/channels?done=test_sent") == (answer.status_code, answer.headers["location"])
        assert "1 message since" in browser.get("/channels").text
        desk.world.deliver()
        page = browser.get("/channels").text
    assert ("1 message since" in page, 1) == (False, len(desk.world.slack.messages))
    with desk.user(Role.VIEWER) as browser:
        assert "sent a test to" in browser.get("/audit").text


def test_other_roles_only_read(desk: Desk) -> None:
    for role in (Role.VIEWER, Role.FINANCE):
        with desk.user(role) as browser:
            assert "Send a test" not in browser.get("/channels").text
            assert 403 == send_test(desk, browser, OPS).status_code


def test_a_destination_that_is_not_configured_gets_no_test_message(desk: Desk) -> None:
    with desk.user(Role.ADMIN) as browser:
        assert 404 == send_test(desk, browser, Destination("slack", "#elsewhere")).status_code


def test_a_refusal_of_a_test_message_is_shown(desk: Desk) -> None:
    desk.world.slack.outcomes["#ops"] = [fails(ChannelErrorKind.NO_SUCH_DESTINATION)]
    with desk.user(Role.ADMIN) as browser:
        send_test(desk, browser, OPS)
        desk.world.deliver()
        with desk.app.database.read() as conn:
            assert () == channel_failures.current(conn)
            error = destination_summaries(conn)[OPS].error
        assert error
        assert desk.app.words.translate(error) in browser.get("/channels").text


def test_the_routing_preview_follows_routes_mentions_quiet_hours_and_escalations(desk: Desk) -> None:
    desk.world.shows(industry(5), wallet=SHOP)
    live = desk.app.live
    live.now = replace(
        live.now,
        routes=(
            RouteConfig(
                match=pattern_from("acme/*:industry"),
                severity=Severity.WARNING,
                destinations=MappingProxyType({"slack": ("#shop",), "email": ()}),
                mention=MappingProxyType({Severity.CRITICAL: ("U024BE7LH",)}),
            ),
        ),
        escalations=(
            EscalationConfig(
                match=pattern_from("acme/*"),
                severity=Severity.CRITICAL,
                after=timedelta(minutes=30),
                destinations=MappingProxyType({"slack": ("#oncall",)}),
            ),
        ),
        quiet=QuietConfig(hours=daily_hours("22:00-08:00")),
    )

    def answer(browser: httpx.Client, about: str, severity: str) -> str:
        return browser.get("/channels", params={"about": about, "severity": severity}).text.partition(
            'id="told"'
        )[2]

    with desk.user(Role.VIEWER) as browser:
        critical = answer(browser, "acme/shop:industry", "critical")
        warning = answer(browser, "acme/shop:industry", "warning")
        other = answer(browser, "acme/shop:voice", "critical")
        unknown = answer(browser, "acme/shpo", "critical")
    for words in ("#shop", "the route for acme/*:industry", "U024BE7LH", "#oncall", "after 30 min"):
        assert words in critical
    assert "it doesn&#39;t wait" in critical or "it doesn't wait" in critical
    assert "from 22:00 to 08:00 it waits until they end" in warning
    assert ("U024BE7LH" in warning, "#oncall" in warning) == (False, False)
    assert ("the defaults: no route matches" in other, "#ops" in other) == (True, True)
    assert "there is no wallet acme/shpo; did you mean acme/shop?" in unknown
