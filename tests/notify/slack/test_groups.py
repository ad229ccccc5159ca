"""The buttons of a group: the shown members are acknowledged or silenced together, and each member has its own actions."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.routing import Destination
from balancebot.notify.slack.blocks import MEMBER, ActionId, ShownGroup
from balancebot.store import alerts, audit, queues, silences
from balancebot.store.tables import groups
from tests.notify.slack.conftest import Desk
from tests.notify.slack.envelopes import ONCALL, again, click
from tests.world import NOON, SHOP, WEB, industry

ON_CALL = Actor(name="on-call", via=Via.CLI)
BOTH = {"acme/shop:industry", "acme/web:industry"}


@pytest.fixture
def group(desk: Desk) -> ShownGroup:
    """Two openings in #ops that were sent as one message; the second opened later."""
    world = desk.world
    world.configure(SHOP, WEB)
    world.limit("acme/web", "industry", warning_below=1000)
    world.shows(industry(400), wallet=WEB)
    world.poll()
    with world.database.write() as conn:
        queues.open_queue(
            conn,
            Destination("slack", "#ops"),
            worker_id="w",
            group_over=1,
            can_edit=True,
            has_threads=True,
            now=world.clock.now(),
        )
        group_id = conn.execute(select(groups.c.id)).scalar_one()
    return ShownGroup(group_id=group_id, num_members=2)


def acknowledged(desk: Desk) -> dict[str, str]:
    with desk.world.database.read() as conn:
        return {
            f"{alert.subject.wallet}:{alert.subject.category}": alert.acknowledged_by
            for alert in (last.alert for last in alerts.listed(conn))
        }


def acts(desk: Desk) -> list[tuple[Act, str]]:
    with desk.world.database.read() as conn:
        return [(entry.act, entry.subject.split()[-1]) for entry in audit.newest(conn, limit=20)]


def test_all_open_members_are_acknowledged_once_with_an_audit_entry_each(
    desk: Desk, group: ShownGroup
) -> None:
    envelope = click(ActionId.ACKNOWLEDGE, group.value)
    with desk.listening():
        desk.slack.socket.deliver(envelope)
        (answer,) = desk.slack.socket.wait_for_answers(1)
    with desk.listening():
        desk.slack.socket.deliver(again(envelope))

    assert dict.fromkeys(BOTH, "oncall (U000ONCALL)") == acknowledged(desk)
    assert {(Act.ACKNOWLEDGE, subject) for subject in BOTH} == set(acts(desk))
    assert 2 == len(acts(desk))
    assert "Acknowledged 2 open alerts: no reminders unless one gets worse." == answer


def test_an_acknowledged_alert_keeps_its_note(desk: Desk, group: ShownGroup) -> None:
    desk.world.app.operate_alerts.acknowledge(
        first_id(desk), by=ON_CALL, expects_by=NOON + timedelta(hours=5)
    )
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, group.value))

    assert {"acme/shop:industry": "on-call", "acme/web:industry": "oncall (U000ONCALL)"} == acknowledged(desk)


def test_only_shown_members_are_acknowledged(desk: Desk, group: ShownGroup) -> None:
    with desk.listening():
        shown = ShownGroup(group_id=group.group_id, num_members=1)
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, shown.value))

    assert ["", "oncall (U000ONCALL)"] == sorted(acknowledged(desk).values())


def test_a_group_has_one_silence_for_exactly_its_balances(desk: Desk, group: ShownGroup) -> None:
    with desk.listening(f'[slack.roles]\nfinance = ["{ONCALL["id"]}"]\n'):
        desk.slack.socket.deliver(click(ActionId.SILENCE, f"{group.value}|4h", choice=True))
        (answer,) = desk.slack.socket.wait_for_answers(1)

    with desk.world.database.read() as conn:
        (silence,) = silences.latest(conn)
        assert all(alert.muted for alert in (last.alert for last in alerts.listed(conn)))
    assert ("acme/shop:industry, acme/web:industry", NOON + timedelta(hours=4)) == (
        silence.pattern.text,
        silence.until,
    )
    assert "Silenced acme/shop:industry, acme/web:industry until Tue 24 Nov, 00:00." == answer
    assert [(Act.SILENCE, "acme/web:industry")] == acts(desk)


def test_a_member_is_explained_with_its_own_buttons(desk: Desk, group: ShownGroup) -> None:
    with desk.listening():
        desk.slack.socket.deliver(
            click(
                ActionId.DETAILS,
                f"{first_id(desk)}|{MEMBER}",
                choice=True,
                response_url=desk.slack.response_url,
            )
        )
        (answer,) = desk.slack.socket.wait_for_answers(1)

    assert "*acme/shop:industry: warning, 500 messages*" in answer
    (actions,) = (block for block in desk.slack.socket.answers[0]["blocks"] if block["type"] == "actions")
    assert [ActionId.ACKNOWLEDGE, ActionId.SILENCE, ActionId.TOP_UP_ORDERED] == [
        element["action_id"] for element in actions["elements"]
    ]


def test_an_unknown_group_and_a_closed_group_are_answered_with_a_message(desk: Desk) -> None:
    nobody = ShownGroup(group_id="0" * 32, num_members=3)
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, nobody.value))
        desk.slack.socket.deliver(click(ActionId.SILENCE, f"{nobody.value}|1h", choice=True))
        desk.slack.socket.deliver(click(ActionId.SILENCE, "group:x|1h", choice=True))
        answer = desk.slack.socket.wait_for_answers(2)

    assert ["Nothing to do here: these alerts are closed or already acknowledged."] * 2 == answer


def test_a_group_of_several_wallets_can_only_be_silenced_by_finance(desk: Desk, group: ShownGroup) -> None:
    with desk.listening('[slack.roles]\nfinance = ["U0000000BOSS"]\n'):
        desk.slack.socket.deliver(click(ActionId.SILENCE, f"{group.value}|1h", choice=True))
        (answer,) = desk.slack.socket.wait_for_answers(1)

    assert answer.startswith("Not silenced: ")
    assert ([], dict.fromkeys(BOTH, "")) == (acts(desk), acknowledged(desk))


def test_guests_change_nothing_in_a_group(desk: Desk, group: ShownGroup) -> None:
    desk.slack.users[ONCALL["id"]] = {"is_ultra_restricted": True}
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, group.value))
        desk.slack.socket.deliver(click(ActionId.SILENCE, f"{group.value}|1h", choice=True))
        desk.slack.socket.wait_for_answers(2)

    assert ([], dict.fromkeys(BOTH, "")) == (acts(desk), acknowledged(desk))


def first_id(desk: Desk) -> str:
    with desk.world.database.read() as conn:
        return str(min(alert.id or 0 for alert in (last.alert for last in alerts.listed(conn))))
