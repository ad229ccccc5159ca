"""Acknowledgements, silences and reminders, from the operation to the entries in the outbox."""

from datetime import timedelta

import pytest

from balancebot.domain.audit import Act, Actor, Via
from balancebot.poll.judge import sync_wallets
from balancebot.store import audit, silences
from tests.patterns import pattern_from
from tests.world import SHOP, WEB, World, industry

ON_CALL = Actor(name="on-call", via=Via.CLI)
OPENED = "opened warning acme/shop:industry"


@pytest.fixture
def world(database) -> World:
    world = World(database)
    world.configure(SHOP)
    world.limit(warning_below=1000, critical_below=100)
    world.shows(industry(500))
    world.poll()
    return world


def silence(world: World, text: str = "acme/shop", hours: float = 4):
    return world.app.operate_alerts.silence(
        pattern_from(text),
        until=world.clock.now() + timedelta(hours=hours),
        reason="moving house",
        by=ON_CALL,
    )


def test_a_reminder_is_sent_when_due_to_every_notified_destination(world):
    world.clock.pass_by(hours=24)

    assert (1, 0) == (world.app.operate_alerts.tick(), world.app.operate_alerts.tick())
    assert [OPENED, "reminder warning acme/shop:industry"] == world.transitions()
    assert ["edit #ops", "reply #ops", "reply finance@example.com"] == world.deliveries()[2:]


def test_acknowledging_stops_reminders_and_edits_the_message(world):
    assert world.app.operate_alerts.acknowledge(world.alert_id(), by=ON_CALL, note="seen") is not None
    world.clock.pass_by(days=3)

    assert 0 == world.app.operate_alerts.tick()
    assert ["edit #ops"] == world.deliveries()[2:]


def test_only_an_open_alert_can_be_acknowledged(world):
    assert world.app.operate_alerts.acknowledge("999", by=ON_CALL) is None
    assert world.app.operate_alerts.acknowledge("nonsense", by=ON_CALL) is None


def test_a_worsening_of_an_acknowledged_alert_is_sent(world):
    world.app.operate_alerts.acknowledge(world.alert_id(), by=ON_CALL)
    world.shows(industry(50))

    world.poll()

    assert [OPENED, "worsened critical acme/shop:industry"] == world.transitions()


def test_an_alert_that_opens_during_a_silence_is_sent_when_the_silence_ends(world):
    silence(world, "acme/web")
    world.configure(SHOP, WEB)
    world.shows(industry(50), wallet=WEB)
    world.poll()
    sent_during_silence = world.transitions()

    world.clock.pass_by(hours=4)
    world.app.operate_alerts.tick()

    assert ([OPENED], [OPENED, "opened critical acme/web:industry"]) == (
        sent_during_silence,
        world.transitions(),
    )


def test_an_alert_that_opened_and_recovered_during_a_silence_is_never_sent(world):
    silence(world, "acme/web")
    world.configure(SHOP, WEB)
    world.shows(industry(50), industry(5000), wallet=WEB)
    world.poll()
    world.poll()

    world.clock.pass_by(hours=4)
    world.app.operate_alerts.tick()

    assert [OPENED] == world.transitions()


def test_a_worsening_during_a_silence_is_sent(world):
    silence(world)
    world.shows(industry(50))

    world.poll()

    assert [OPENED, "worsened critical acme/shop:industry"] == world.transitions()


def test_a_recovery_during_a_silence_only_edits_the_message(world):
    silence(world)
    world.shows(industry(5000))

    world.poll()

    assert ([OPENED], ["edit #ops", "edit #ops"]) == (world.transitions(), world.deliveries()[2:])


def test_ending_a_silence_immediately_sends_the_open_alerts_that_it_muted(world):
    created = silence(world, "*")
    world.configure(SHOP, WEB)
    world.shows(industry(50), wallet=WEB)
    world.poll()

    assert world.app.operate_alerts.end_silence(str(created.id), by=ON_CALL)
    assert not world.app.operate_alerts.end_silence(str(created.id), by=ON_CALL)
    assert [OPENED, "opened critical acme/web:industry"] == world.transitions()


def test_every_act_is_in_the_audit_log(world):
    created = silence(world)
    world.app.operate_alerts.end_silence(str(created.id), by=ON_CALL)
    world.app.operate_alerts.acknowledge(world.alert_id(), by=ON_CALL)

    with world.database.read() as conn:
        entries = audit.newest(conn, limit=10)
    assert [(Act.ACKNOWLEDGE, "on-call"), (Act.END_SILENCE, "on-call"), (Act.SILENCE, "on-call")] == [
        (entry.act, entry.actor) for entry in entries
    ]


def test_removing_a_wallet_from_the_configuration_closes_its_alerts(world):
    removed = sync_wallets(world.database, [WEB], writer=world.app.decision_writer, now=world.clock.now())

    assert ((SHOP,), [OPENED, "closed ok acme/shop:industry"]) == (removed, world.transitions())


def test_a_repeated_request_is_applied_once_and_gets_the_same_answer(world):
    by = Actor(name="oncall", via=Via.SLACK, request="click 17")
    acknowledged = world.app.operate_alerts.acknowledge(world.alert_id(), by=by, note="first")

    assert acknowledged == world.app.operate_alerts.acknowledge(world.alert_id(), by=by, note="again")
    with world.database.read() as conn:
        (entry,) = audit.newest(conn, limit=10)
    assert ("click 17", "first") == (entry.request, entry.after["note"])


def test_a_silence_requested_twice_is_created_once(world):
    by = Actor(name="oncall", via=Via.SLACK, request="command 3")
    pattern = pattern_from("acme/*")
    until = world.clock.now() + timedelta(hours=4)
    created = world.app.operate_alerts.silence(pattern, until=until, reason="moving house", by=by)
    world.clock.pass_by(minutes=1)

    assert created == world.app.operate_alerts.silence(
        pattern, until=until + timedelta(minutes=1), reason="moving house", by=by
    )
    with world.database.read() as conn:
        assert (created,) == silences.latest(conn)


def test_the_reason_of_a_silence_becomes_one_printable_line(world):
    created = world.app.operate_alerts.silence(
        pattern_from("*"),
        until=world.clock.now() + timedelta(hours=1),
        reason="\x1b]0;pwned\x07back\u202egnp.exe\n\ud800 soon",
        by=ON_CALL,
    )
    assert "]0;pwnedbackgnp.exe soon" == created.reason
