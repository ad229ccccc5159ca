"""Escalations, from the rule in the configuration to the messages in the channels."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from balancebot.config import EscalationConfig, RouteConfig
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import WalletName
from balancebot.domain.verdict import Severity
from balancebot.estimates.context import ContextReader
from balancebot.ports import ChannelErrorKind
from balancebot.store import alerts
from tests.outbox_bench import Killed, fails, loses_the_answer
from tests.patterns import pattern_from
from tests.world import SHOP, World, industry

ON_CALL = Actor(name="on-call", via=Via.CLI)
OPENED = "opened critical acme/shop:industry"
ESCALATED = "escalated critical acme/shop:industry"


RULE = EscalationConfig(
    match=pattern_from("acme/*"),
    severity=Severity.CRITICAL,
    after=timedelta(minutes=30),
    destinations={"slack": ("#oncall",), "email": ("cto@example.com",)},
)


def critical_world(database, *rules: EscalationConfig, **changes: Any) -> World:
    """A world in which the shop's balance has just become critical."""
    world = World(database, escalations=rules or (RULE,), **changes)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100)
    world.shows(industry(50))
    world.poll()
    world.deliver()
    return world


def test_an_escalation_to_a_new_destination_is_a_full_message_and_later_changes_follow(database):
    world = critical_world(database)
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


def test_an_escalation_to_a_notified_destination_is_a_reply_that_is_also_shown_in_the_channel(database):
    world = critical_world(database, replace(RULE, destinations={"slack": ("#ops",)}))
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.deliver()

    assert ["opened", "> escalated"] == world.slack.received("#ops")
    assert world.slack.messages[-1].broadcast
    assert ["opened"] == world.mail.received("finance@example.com")
    world.close()


@pytest.mark.parametrize("stop", ["acknowledged", "silenced", "recovered"])
def test_an_acknowledged_silenced_or_recovered_alert_does_not_escalate(database, stop):
    world = critical_world(database)
    world.clock.pass_by(minutes=20)
    if stop == "acknowledged":
        world.app.operate_alerts.acknowledge(world.alert_id(), by=ON_CALL)
    elif stop == "silenced":
        until = world.clock.now() + timedelta(hours=4)
        world.app.operate_alerts.silence(pattern_from("acme/shop"), until=until, reason="", by=ON_CALL)
    else:
        world.shows(industry(5000))
        world.poll()
    world.clock.pass_by(minutes=20)
    world.app.operate_alerts.tick()

    assert ESCALATED not in world.transitions()


def test_a_worsening_clears_the_acknowledgement_and_escalates_again(database):
    world = critical_world(database)
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.app.operate_alerts.acknowledge(world.alert_id(), by=ON_CALL)
    world.shows(industry(0))
    world.poll()
    world.clock.pass_by(minutes=29)
    world.app.operate_alerts.tick()
    too_early = world.transitions()
    world.clock.pass_by(minutes=1)
    world.app.operate_alerts.tick()

    before = [OPENED, ESCALATED, "worsened depleted acme/shop:industry"]
    assert (before, [*before, "escalated depleted acme/shop:industry"]) == (too_early, world.transitions())


def test_an_escalated_alert_does_not_escalate_again_after_a_restart(database):
    world = critical_world(database)
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.clock.pass_by(hours=2)

    assert 0 == world.another_app(escalations=(RULE,)).operate_alerts.tick()
    with database.read() as conn:
        (last,) = alerts.listed(conn)
    assert world.clock.now() - timedelta(hours=2) == last.alert.escalated_at


def test_two_processes_that_tick_at_the_same_time_escalate_once(database):
    world = critical_world(database)
    world.clock.pass_by(minutes=30)
    apps = [world.app, world.another_app(escalations=(RULE,))]
    start = threading.Barrier(len(apps))

    def tick(app) -> None:
        start.wait()
        app.operate_alerts.tick()

    threads = [threading.Thread(target=tick, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [OPENED, ESCALATED] == world.transitions()


class _KilledReader(ContextReader):
    """The process is killed after the alert has escalated and before that is stored."""

    def read(self, *_: Any, **__: Any) -> Any:
        raise Killed


def test_after_a_kill_the_next_process_continues_and_sends_nothing_twice(database):
    world = critical_world(database)
    world.clock.pass_by(minutes=30)
    acts = world.app.operate_alerts
    figures = world.app.figures
    killed = _KilledReader(
        estimator=figures.estimator, thresholds=figures.thresholds, package_sizes=figures.package_sizes
    )
    with pytest.raises(Killed):
        replace(acts, writer=replace(acts.writer, contexts=killed)).tick()
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


def test_many_escalations_at_the_same_time_are_grouped_into_one_message(database):
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


def test_an_escalation_mentions_the_people_named_by_the_route(database):
    route = RouteConfig(match=pattern_from("*"), mention={Severity.CRITICAL: ("U1A",)})
    world = critical_world(database, routes=(route,))
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()

    assert [("U1A",), ("U1A",)] == [message.mentions for message in world.messages()]


@pytest.mark.parametrize("stop", ["acknowledged", "silenced"])
def test_a_waiting_escalation_is_not_sent_once_the_alert_is_acknowledged_or_silenced(database, stop):
    world = critical_world(database)
    world.slack.outcomes["#oncall"] = [fails(ChannelErrorKind.UNREACHABLE)]
    world.mail.outcomes["cto@example.com"] = [loses_the_answer]
    world.clock.pass_by(minutes=30)
    world.app.operate_alerts.tick()
    world.deliver()
    if stop == "acknowledged":
        world.app.operate_alerts.acknowledge(world.alert_id(), by=ON_CALL)
    else:
        until = world.clock.now() + timedelta(hours=1)
        world.app.operate_alerts.silence(pattern_from("acme/shop"), until=until, reason="", by=ON_CALL)
    world.clock.pass_by(minutes=5)
    world.deliver()
    world.clock.pass_by(hours=2)
    world.app.operate_alerts.tick()
    world.shows(industry(5000))
    world.poll()
    world.deliver()

    assert [] == [text for text in world.slack.received("#oncall") if text != "SilenceMessage"]
    assert ["opened", "> recovered"] == [
        text for text in world.slack.received("#ops") if text != "SilenceMessage"
    ]
    # the mail server may have accepted the escalation, so it gets the recovery too
    assert "> recovered" == world.mail.received("cto@example.com")[-1]
    world.close()
