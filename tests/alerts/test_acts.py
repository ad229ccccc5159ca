"""Acknowledgements, silences and the passing of time, down to what lies in the outbox."""

from datetime import timedelta

import pytest

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.pattern import Pattern
from balancebot.poll.judge import sync_wallets
from balancebot.store import alerts, audit, silences
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
    pattern = Pattern.parse(text)
    assert isinstance(pattern, Pattern)
    return world.app.operate_alerts.silence(
        pattern, until=world.clock.now() + timedelta(hours=hours), reason="moving house", by=ON_CALL
    )


def open_id(world: World) -> str:
    with world.database.read() as conn:
        (last,) = alerts.listed(conn)
    return last.alert_id


def test_a_reminder_is_sent_after_its_time_to_all_that_were_notified(world):
    world.clock.pass_by(hours=24)

    assert (1, 0) == (world.app.operate_alerts.tick(), world.app.operate_alerts.tick())
    assert [OPENED, "reminder warning acme/shop:industry"] == world.transitions()
    assert ["edit #ops", "reply #ops", "reply finance@example.com"] == world.deliveries()[2:]


def test_acknowledging_stops_reminders_and_edits_the_message(world):
    assert world.app.operate_alerts.acknowledge(open_id(world), by=ON_CALL, note="seen") is not None
    world.clock.pass_by(days=3)

    assert 0 == world.app.operate_alerts.tick()
    assert ["edit #ops"] == world.deliveries()[2:]


def test_only_an_open_alert_can_be_acknowledged(world):
    assert world.app.operate_alerts.acknowledge("999", by=ON_CALL) is None
    assert world.app.operate_alerts.acknowledge("nonsense", by=ON_CALL) is None


def test_a_worsening_is_sent_although_acknowledged(world):
    world.app.operate_alerts.acknowledge(open_id(world), by=ON_CALL)
    world.shows(industry(50))

    world.poll()

    assert [OPENED, "worsened critical acme/shop:industry"] == world.transitions()


def test_inside_a_silence_nothing_is_sent_until_it_ends(world):
    silence(world, "acme/web")
    world.configure(SHOP, WEB)
    world.shows(industry(50), wallet=WEB)
    world.poll()
    told_inside = world.transitions()

    world.clock.pass_by(hours=4)
    world.app.operate_alerts.tick()

    assert ([OPENED], [OPENED, "opened critical acme/web:industry"]) == (told_inside, world.transitions())


def test_an_alert_that_opened_and_recovered_inside_a_silence_is_not_notified(world):
    silence(world, "acme/web")
    world.configure(SHOP, WEB)
    world.shows(industry(50), industry(5000), wallet=WEB)
    world.poll()
    world.poll()

    world.clock.pass_by(hours=4)
    world.app.operate_alerts.tick()

    assert [OPENED] == world.transitions()


def test_a_silence_lifts_for_what_rises_above_its_severity(world):
    silence(world)
    world.shows(industry(50))

    world.poll()

    assert [OPENED, "worsened critical acme/shop:industry"] == world.transitions()


def test_a_recovery_inside_a_silence_only_edits(world):
    silence(world)
    world.shows(industry(5000))

    world.poll()

    assert ([OPENED], ["edit #ops", "edit #ops"]) == (world.transitions(), world.deliveries()[2:])


def test_ending_a_silence_sends_open_alerts_that_were_not_notified_at_once(world):
    made = silence(world, "*")
    world.configure(SHOP, WEB)
    world.shows(industry(50), wallet=WEB)
    world.poll()

    assert world.app.operate_alerts.end_silence(str(made.id), by=ON_CALL)
    assert not world.app.operate_alerts.end_silence(str(made.id), by=ON_CALL)
    assert [OPENED, "opened critical acme/web:industry"] == world.transitions()


def test_every_act_is_in_the_audit_log(world):
    made = silence(world)
    world.app.operate_alerts.end_silence(str(made.id), by=ON_CALL)
    world.app.operate_alerts.acknowledge(open_id(world), by=ON_CALL)

    with world.database.read() as conn:
        entries = audit.newest(conn, limit=10)
    assert [(Act.ACKNOWLEDGE, "on-call"), (Act.END_SILENCE, "on-call"), (Act.SILENCE, "on-call")] == [
        (entry.act, entry.actor) for entry in entries
    ]


def test_a_wallet_that_leaves_the_configuration_takes_its_alerts_with_it(world):
    removed = sync_wallets(world.database, [WEB], writer=world.app.decision_writer, now=world.clock.now())

    assert ((SHOP,), [OPENED, "closed ok acme/shop:industry"]) == (removed, world.transitions())


def test_a_request_that_comes_again_is_done_once_and_answered_alike(world):
    by = Actor(name="oncall", via=Via.SLACK, request="click 17")
    acknowledged = world.app.operate_alerts.acknowledge(open_id(world), by=by, note="first")

    assert acknowledged == world.app.operate_alerts.acknowledge(open_id(world), by=by, note="again")
    with world.database.read() as conn:
        (entry,) = audit.newest(conn, limit=10)
    assert ("click 17", "first") == (entry.request, entry.after["note"])


def test_a_silence_that_is_asked_for_again_is_made_once(world):
    by = Actor(name="oncall", via=Via.SLACK, request="command 3")
    pattern = Pattern.parse("acme/*")
    until = world.clock.now() + timedelta(hours=4)
    made = world.app.operate_alerts.silence(pattern, until=until, reason="moving house", by=by)
    world.clock.pass_by(minutes=1)

    assert made == world.app.operate_alerts.silence(
        pattern, until=until + timedelta(minutes=1), reason="moving house", by=by
    )
    with world.database.read() as conn:
        assert (made,) == silences.latest(conn)


def test_what_people_write_stands_on_one_printable_line(world):
    made = world.app.operate_alerts.silence(
        Pattern.parse("*"),
        until=world.clock.now() + timedelta(hours=1),
        reason="\x1b]0;pwned\x07back\u202egnp.exe\n\ud800 soon",
        by=ON_CALL,
    )
    assert "]0;pwnedbackgnp.exe soon" == made.reason
