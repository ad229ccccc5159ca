"""Permissions in Slack: members acknowledge and silence one wallet for a day, finance may do more, strangers nothing."""

from datetime import timedelta
from typing import Any

import pytest

from balancebot.domain.pattern import Pattern, Patterns, names_one_wallet
from balancebot.notify.slack.blocks import ActionId
from balancebot.store import audit, silences
from tests.notify.slack.conftest import Desk
from tests.notify.slack.envelopes import ONCALL, PARTNER, click, command, submission
from tests.standins.slack_api import ALL_SCOPES, Fault
from tests.world import NOON

FINANCE = f'[slack.roles]\nfinance = ["{ONCALL["id"]}"]\n'


def num_acts(desk: Desk) -> int:
    with desk.world.database.read() as conn:
        return len(list(audit.newest(conn, limit=20)))


def silenced(desk: Desk) -> list[tuple[str, timedelta]]:
    with desk.world.database.read() as conn:
        return [(silence.pattern.text, silence.until - NOON) for silence in silences.latest(conn)]


def answers_to(desk: Desk, *envelopes: dict[str, Any], extra: str = "") -> list[str]:
    """Deliver envelopes, and return the answers."""
    with desk.listening(extra):
        before = len(desk.slack.socket.answers)
        for number, envelope in enumerate(envelopes, 1):
            desk.slack.socket.deliver(envelope)
            answers = desk.slack.socket.wait_for_answers(before + number)
        return answers[before:]


@pytest.mark.parametrize("extra", ["", '[slack.roles]\nfinance = ["U0000000BOSS"]\n'])
def test_a_member_without_a_role_acknowledges_and_silences_one_wallet(desk: Desk, extra: str) -> None:
    answers = answers_to(
        desk,
        click(ActionId.ACKNOWLEDGE, desk.alert_id),
        click(ActionId.SILENCE, f"{desk.alert_id}|4h", choice=True),
        command("silence acme/shop 24h"),
        command("silence acme/shop:* 1d"),
        extra=extra,
    )

    assert ["Acknowledged", "Silenced", "Silenced", "Silenced"] == [text.split()[0] for text in answers]
    assert {"acme/shop:industry", "acme/shop", "acme/shop:*"} == {pattern for pattern, _ in silenced(desk)}


@pytest.mark.parametrize("asked", ["* 1h", "acme/* 1h", "acme/sho*:industry 1h", "acme/shop 25h", "* 30d"])
def test_a_broader_or_longer_silence_needs_the_role_finance(desk: Desk, asked: str) -> None:
    (refused,) = answers_to(desk, command(f"silence {asked}"))
    assert ([], 0) == (silenced(desk), num_acts(desk))
    (done,) = answers_to(desk, command(f"silence {asked}"), extra=FINANCE)

    assert refused.startswith(
        "Not silenced: without the role finance you may silence one wallet, by its full name"
    )
    assert done.startswith("Silenced")
    assert asked.split(maxsplit=1)[0] == silenced(desk)[0][0]


def test_until_tomorrow_needs_the_role_finance_if_it_is_more_than_a_day(desk: Desk) -> None:
    desk.world.clock.pass_by(hours=5)  # 01:00 in Shanghai
    (answer,) = answers_to(desk, click(ActionId.SILENCE, f"{desk.alert_id}|tomorrow", choice=True))

    assert answer.startswith("Not silenced")
    assert [] == silenced(desk)


def test_people_of_another_workspace_may_do_nothing(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (form,) = desk.slack.socket.forms
    expected = int((NOON + timedelta(days=1)).timestamp())
    answers = answers_to(
        desk,
        click(ActionId.ACKNOWLEDGE, desk.alert_id, user=PARTNER),
        click(ActionId.DETAILS, desk.alert_id, user=PARTNER),
        click(ActionId.TOP_UP_ORDERED, desk.alert_id, user=PARTNER),
        submission(form, note=None, expected=expected, user=PARTNER),
        command("silence acme/shop 1h", user=PARTNER),
        command("", user=PARTNER),
        extra=f'[slack.roles]\nfinance = ["*", "{PARTNER["id"]}"]\n',
    )

    assert 6 == sum(text.startswith("Not done: only members of this bot's own workspace") for text in answers)
    assert (0, [], 1) == (num_acts(desk), silenced(desk), len(desk.slack.socket.forms))


@pytest.mark.parametrize("mark", ["is_restricted", "is_ultra_restricted", "is_stranger", "deleted"])
def test_guests_may_do_nothing_and_their_profile_is_requested_once(desk: Desk, mark: str) -> None:
    desk.slack.users[ONCALL["id"]] = {mark: True}
    answers = answers_to(desk, click(ActionId.ACKNOWLEDGE, desk.alert_id), command("* 1h"), extra=FINANCE)

    assert ["Not done: guests of the workspace may not use this bot. Ask a full member."] * 2 == answers
    assert (0, 1, 1) == (
        num_acts(desk),
        len(desk.slack.calls_of("users.info")),
        len(desk.slack.calls_of("auth.test")),
    )


@pytest.mark.parametrize("profile", [{"team_id": "T999"}, None])
def test_a_stranger_is_recognized_by_the_profile_even_if_the_request_names_our_workspace(
    desk: Desk, profile: dict[str, Any] | None
) -> None:
    desk.slack.users[ONCALL["id"]] = profile
    (answer,) = answers_to(desk, click(ActionId.ACKNOWLEDGE, desk.alert_id))

    assert answer.startswith("Not done: only members of this bot's own workspace")


@pytest.mark.parametrize(("teams", "may"), [(["T999", "T000"], True), (["T999"], False)])
def test_in_an_organization_every_workspace_of_a_person_counts(
    desk: Desk, teams: list[str], may: bool
) -> None:
    desk.slack.users[PARTNER["id"]] = {
        "team_id": "T999",
        "enterprise_user": {"enterprise_id": "E1", "teams": teams},
    }
    (answer,) = answers_to(desk, click(ActionId.ACKNOWLEDGE, desk.alert_id, user=PARTNER))

    assert may is answer.startswith("Acknowledged")


def test_without_the_scope_for_profiles_the_workspace_of_the_request_counts(desk: Desk) -> None:
    desk.slack.scopes = tuple(scope for scope in ALL_SCOPES if scope != "users:read")
    answers = answers_to(
        desk,
        click(ActionId.ACKNOWLEDGE, desk.alert_id, user=PARTNER),
        click(ActionId.ACKNOWLEDGE, desk.alert_id),
    )

    assert ["Not", "Acknowledged"] == [text.split()[0] for text in answers]


@pytest.mark.parametrize("method", ["auth.test", "users.info"])
def test_a_request_is_refused_while_the_profile_is_unavailable(desk: Desk, method: str) -> None:
    desk.slack.fail_next(method, Fault(status=503))
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, desk.alert_id))
        (answer,) = desk.slack.socket.wait_for_answers(1)
        assert answer.startswith("Not done: Slack did not say whether you are a member")
        desk.world.clock.pass_by(seconds=31)
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, desk.alert_id))
        assert desk.slack.socket.wait_for_answers(2)[1].startswith("Acknowledged")


def test_a_known_member_stays_a_member_while_slack_does_not_answer(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(command("help"))
        desk.slack.socket.wait_for_answers(1)
        desk.world.clock.pass_by(minutes=6)
        desk.slack.fail_next("users.info", Fault(status=503))
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, desk.alert_id))
        assert desk.slack.socket.wait_for_answers(2)[1].startswith("Acknowledged")


def test_a_user_who_may_not_see_balances_is_refused_with_the_reason(desk: Desk) -> None:
    answers = answers_to(
        desk,
        command("why acme/shop:industry"),
        click(ActionId.DETAILS, desk.alert_id),
        extra='[slack.roles]\nviewer = ["U0000000BOSS"]\n',
    )

    assert 2 == sum(text.startswith("You may not see balances here.") for text in answers)


def test_members_of_a_user_group_have_its_role_and_the_group_is_requested_once(desk: Desk) -> None:
    desk.slack.groups["S00000FINANCE"] = [ONCALL["id"]]
    answers = answers_to(
        desk,
        command("silence acme/* 2d"),
        command("acme"),
        command("silence acme/* 2d", user={"id": "U0000OTHER", "username": "other"}),
        extra='[slack.roles]\nviewer = ["U0000NOBODY"]\nfinance = ["S00000FINANCE"]\n',
    )

    assert ["Silenced", "Not"] == [answers[0].split()[0], answers[2].split()[0]]
    assert 1 == len(silenced(desk))
    assert 1 == len(desk.slack.calls_of("usergroups.users.list"))


@pytest.mark.parametrize(
    ("texts", "is_one"),
    [
        (["acme/shop"], True),
        (["acme"], True),
        (["acme/shop:market", "acme/shop:industry"], True),
        (["acme/shop", "acme/web"], False),
        (["acme", "acme/*"], False),
        (["*"], False),
    ],
)
def test_a_pattern_names_one_wallet_or_more(texts: list[str], is_one: bool) -> None:
    parts = [part for part in map(Pattern.parse, texts) if isinstance(part, Pattern)]

    assert is_one is names_one_wallet(parts[0] if len(parts) == 1 else Patterns(parts=tuple(parts)))
