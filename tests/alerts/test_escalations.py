"""Escalations, from the rule in the configuration to what stands in the channels."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from balancebot.config import EscalationConfig, RouteConfig
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import WalletName
from balancebot.domain.pattern import Pattern
from balancebot.domain.verdict import Severity
from balancebot.estimates.context import ContextReader
from balancebot.ports import ChannelErrorKind
from balancebot.store import alerts
from tests.outbox_bench import Killed, fails, loses_the_answer
from tests.world import SHOP, World, industry

ON_CALL = Actor(name="on-call", via=Via.CLI)
OPENED = "opened critical acme/shop:industry"
ESCALATED = "escalated critical acme/shop:industry"


def pattern(text: str) -> Pattern:
    parsed = Pattern.parse(text)
    assert isinstance(parsed, Pattern)
    return parsed


RULE = EscalationConfig(
    match=pattern("acme/*"),
    severity=Severity.CRITICAL,
    after=timedelta(minutes=30),
    destinations={"slack": ("#oncall",), "email": ("cto@example.com",)},
)


def a_world(database, *rules: EscalationConfig, **changes: Any) -> World:
    """A world in which the shop's balance has just become critical."""
    world = World(database, escalations=rules or (RULE,), **changes)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100)
    world.shows(industry(50))
    world.poll()
    world.deliver()
    return world


def open_id(world: World) -> str:
    with world.database.read() as conn:
        (last,) = alerts.listed(conn)
    return last.alert_id


def test_a_destination_that_was_not_notified_gets_a_full_message_and_everything_from_then_on(database):
    world = a_world(database)
    world.clock.pass_by(minutes=29)
    assert 0 == world.app.operate_alerts.tick()

    world.clock.pass_by(minutes=1)
    assert (1, 0) == (world.app.operate_alerts.tick(), world.app.operate_alerts.tick())
    world.deliver()
    world.clock.pass_by(hours=23, minutes=30)
    world.app.operate_alerts.tick()
    world.deliver()
    world.shows(industry(5000))
    world.poll()
    world.deliver()

    assert ["opened", "> reminder", "> recovered"] == world.slack.received("#ops")
    assert ["escalated", "> reminder", "> recovered"] == world.slack.received("#oncall")
    assert ["escalated", "> reminder", "> recovered"] == world.mail.received("cto@example.com")
    assert ["opened", "> reminder", "> recovered"] == world.mail.received("finance@example.com")
    world.close()


def test_a_destination_that_was_notified_gets_a_reply_shown_in_the_channel_too(database):
    world = a_world(database, replace(RULE, destinations={"slack": ("#ops",)}))
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.deliver()

    assert ["opened", "> escalated"] == world.slack.received("#ops")
    assert world.slack.messages[-1].broadcast
    assert ["opened"] == world.mail.received("finance@example.com")
    world.close()


@pytest.mark.parametrize("stop", ["acknowledged", "silenced", "recovered"])
def test_what_is_acknowledged_silenced_or_over_does_not_escalate(database, stop):
    world = a_world(database)
    world.clock.pass_by(minutes=20)
    if stop == "acknowledged":
        world.app.operate_alerts.acknowledge(open_id(world), by=ON_CALL)
    elif stop == "silenced":
        until = world.clock.now() + timedelta(hours=4)
        world.app.operate_alerts.silence(pattern("acme/shop"), until=until, reason="", by=ON_CALL)
    else:
        world.shows(industry(5000))
        world.poll()
    world.clock.pass_by(minutes=20)
    world.app.operate_alerts.tick()

    assert ESCALATED not in world.transitions()


def test_a_worsening_clears_the_acknowledgement_and_escalates_anew(database):
    world = a_world(database)
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.app.operate_alerts.acknowledge(open_id(world), by=ON_CALL)
    world.shows(industry(0))
    world.poll()
    world.clock.pass_by(minutes=29)
    world.app.operate_alerts.tick()
    too_early = world.transitions()
    world.clock.pass_by(minutes=1)
    world.app.operate_alerts.tick()

    told = [OPENED, ESCALATED, "worsened depleted acme/shop:industry"]
    assert (told, [*told, "escalated depleted acme/shop:industry"]) == (too_early, world.transitions())


def test_after_a_restart_it_has_escalated_and_does_not_again(database):
    world = a_world(database)
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.clock.pass_by(hours=2)

    assert 0 == world.another_app(escalations=(RULE,)).operate_alerts.tick()
    with database.read() as conn:
        (last,) = alerts.listed(conn)
    assert world.clock.now() - timedelta(hours=2) == last.alert.escalated_at


def test_two_processes_that_look_at_once_escalate_once(database):
    world = a_world(database)
    world.clock.pass_by(minutes=30)
    apps = [world.app, world.another_app(escalations=(RULE,))]
    start = threading.Barrier(len(apps))

    def look(app) -> None:
        start.wait()
        app.operate_alerts.tick()

    threads = [threading.Thread(target=look, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [OPENED, ESCALATED] == world.transitions()


class _DyingReader(ContextReader):
    """The process is killed after the alert has escalated and before that is stored."""

    def read(self, *_: Any, **__: Any) -> Any:
        raise Killed


def test_the_next_process_goes_on_after_a_kill_and_nothing_is_sent_twice(database):
    world = a_world(database)
    world.clock.pass_by(minutes=30)
    acts = world.app.operate_alerts
    figures = world.app.figures
    dying = _DyingReader(
        estimator=figures.estimator, thresholds=figures.thresholds, package_sizes=figures.package_sizes
    )
    with pytest.raises(Killed):
        replace(acts, writer=replace(acts.writer, contexts=dying)).tick()
    world.slack.outcomes["#oncall"] = [loses_the_answer]

    world.another_app(escalations=(RULE,)).operate_alerts.tick()
    for _ in range(3):
        world.deliver()
        world.clock.pass_by(seconds=30)

    assert [OPENED, ESCALATED] == world.transitions()
    assert (["escalated"], ["escalated"]) == (
        world.slack.received("#oncall"),
        world.mail.received("cto@example.com"),
    )
    world.close()


def test_many_that_escalate_at_once_are_one_message_that_names_each(database):
    world = World(database, escalations=(RULE,))
    names = [WalletName(f"acme/app-{number}") for number in range(8)]
    world.configure(*names)
    world.limit(critical_below=100)
    for name in names:
        world.shows(industry(50), wallet=name)
    world.poll()
    world.deliver()
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.deliver()

    assert ["GroupMessage"] == world.slack.received("#oncall")
    world.close()


def test_an_escalation_mentions_whom_the_route_names(database):
    route = RouteConfig(match=pattern("*"), mention={Severity.CRITICAL: ("U1A",)})
    world = a_world(database, routes=(route,))
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()

    assert [("U1A",), ("U1A",)] == [message.mentions for message in world.messages()]


@pytest.mark.parametrize("stop", ["acknowledged", "silenced"])
def test_an_escalation_that_waits_while_somebody_acknowledges_or_silences_is_not_sent(database, stop):
    world = a_world(database)
    world.slack.outcomes["#oncall"] = [fails(ChannelErrorKind.UNREACHABLE)]
    world.mail.outcomes["cto@example.com"] = [loses_the_answer]
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.deliver()
    if stop == "acknowledged":
        world.app.operate_alerts.acknowledge(open_id(world), by=ON_CALL)
    else:
        until = world.clock.now() + timedelta(hours=1)
        world.app.operate_alerts.silence(pattern("acme/shop"), until=until, reason="", by=ON_CALL)
    world.clock.pass_by(minutes=5)
    world.deliver()
    world.clock.pass_by(hours=2)
    world.app.operate_alerts.tick()
    world.shows(industry(5000))
    world.poll()
    world.deliver()

    assert [] == [told for told in world.slack.received("#oncall") if told != "SilenceMessage"]
    assert ["opened", "> recovered"] == [
        told for told in world.slack.received("#ops") if told != "SilenceMessage"
    ]
    # a mail server that may have taken it is told of the end too
    assert "> recovered" == world.mail.received("cto@example.com")[-1]
    world.close()
