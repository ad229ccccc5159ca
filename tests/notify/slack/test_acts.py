"""Buttons, forms and commands: executed once, only with permission, and answered only to the person."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.audit import Act, Via
from balancebot.notify.slack.blocks import ActionId
from balancebot.store import audit, silences
from tests.notify.slack.conftest import Desk
from tests.notify.slack.envelopes import again, click, command, submission
from tests.standins.slack_api import Fault
from tests.world import NOON, industry


def entries(desk: Desk) -> list[tuple[str, Via, Act]]:
    with desk.world.database.read() as conn:
        return [(entry.actor, entry.via, entry.act) for entry in audit.newest(conn, limit=20)]


def active_silences(desk: Desk) -> list[tuple[str, datetime, str]]:
    with desk.world.database.read() as conn:
        return [(silence.pattern.text, silence.until, silence.reason) for silence in silences.latest(conn)]


def test_a_click_acknowledges_edits_the_message_and_is_in_the_audit_log_with_the_user(desk: Desk) -> None:
    with desk.listening():
        assert {} == desk.slack.socket.deliver(
            click(ActionId.ACKNOWLEDGE, desk.alert_id, response_url=desk.slack.response_url)
        )
        (text,) = desk.slack.socket.wait_for_answers(1)

    assert "oncall (U000ONCALL)" == desk.alert.acknowledged_by
    assert [("oncall (U000ONCALL)", Via.SLACK, Act.ACKNOWLEDGE)] == entries(desk)
    assert "edit #ops" in desk.world.deliveries()
    assert "Acknowledged acme/shop:industry: no reminders unless it gets worse." == text
    assert ("ephemeral", False) == (
        desk.slack.socket.answers[0]["response_type"],
        desk.slack.socket.answers[0]["replace_original"],
    )


def test_a_request_is_executed_once_although_slack_repeats_its_envelope_after_restarts(desk: Desk) -> None:
    envelope = click(ActionId.SILENCE, f"{desk.alert_id}|4h", choice=True)
    with desk.listening():
        desk.slack.socket.deliver(envelope)
        desk.slack.socket.deliver(envelope)
        desk.slack.socket.deliver(again(envelope))
    with desk.listening():
        desk.slack.socket.deliver(envelope)
        desk.slack.socket.deliver(again(envelope))

    assert [("acme/shop:industry", NOON + timedelta(hours=4), "")] == active_silences(desk)
    assert 1 == len(entries(desk))


def test_two_clicks_are_two_requests(desk: Desk) -> None:
    with desk.listening():
        for _ in range(2):
            desk.slack.socket.deliver(click(ActionId.SILENCE, f"{desk.alert_id}|1h", choice=True))

    assert 2 == len(active_silences(desk))


def test_until_tomorrow_means_nine_o_clock_in_the_configured_time_zone(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.SILENCE, f"{desk.alert_id}|tomorrow", choice=True))
        (text,) = desk.slack.socket.wait_for_answers(1)

    # noon in UTC is 20:00 in Shanghai
    assert [("acme/shop:industry", datetime(2026, 11, 24, 1, tzinfo=UTC), "")] == active_silences(desk)
    assert "Silenced acme/shop:industry until Tue 24 Nov, 09:00." == text


def test_an_order_is_recorded_by_a_form_and_reminded_of_when_overdue(desk: Desk) -> None:
    expected = NOON + timedelta(hours=30)
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (form,) = desk.slack.socket.forms
        sent = submission(form, note="order 4711", expected=int(expected.timestamp()))
        assert {} == desk.slack.socket.deliver(sent)
        (text,) = desk.slack.socket.wait_for_answers(1)

    alert = desk.alert
    assert ("order 4711", expected) == (alert.acknowledged_note, alert.expects_by)
    assert text.startswith("Noted: a top-up of acme/shop:industry is expected by Wed 25 Nov, 02:00.")
    desk.world.clock.pass_by(hours=30)
    assert 1 == desk.world.app.operate_alerts.tick()
    assert "reminder warning acme/shop:industry" == desk.world.transitions()[-1]


def test_the_form_records_an_order_once_if_it_has_a_quantity(desk: Desk) -> None:
    expected = NOON + timedelta(hours=30)
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (form,) = desk.slack.socket.forms
        wrong = submission(form, note="", expected=int(expected.timestamp()), quantity="lots")
        assert {"quantity": "Write a number such as 60,000, 60k or 6万."} == desk.slack.socket.deliver(wrong)[
            "errors"
        ]
        sent = submission(form, note="PO 4711", expected=int(expected.timestamp()), quantity="6万")
        desk.slack.socket.deliver(sent)
        (text,) = desk.slack.socket.wait_for_answers(1)
        desk.slack.socket.deliver(again(sent))
    (order,) = desk.world.app.operate_orders.listed()
    assert (60_000, expected, "PO 4711") == (order.quantity, order.expected_at, order.note)
    assert text.endswith(
        "If the alert is still open then, it is sent again. Order 1 is recorded: 60,000 messages."
    )


def test_an_order_is_recorded_even_if_the_alert_has_closed(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (form,) = desk.slack.socket.forms
        desk.world.shows(industry(90_000))
        desk.world.poll()
        expected = int((NOON + timedelta(hours=30)).timestamp())
        desk.slack.socket.deliver(submission(form, note="", expected=expected, quantity="60k"))
        (text,) = desk.slack.socket.wait_for_answers(1)
    assert "This alert is already closed. Order 1 is recorded: 60,000 messages." == text
    assert 1 == len(desk.world.app.operate_orders.listed())


@pytest.mark.parametrize(("lead_time", "day"), [(3, 26), (5, 30)])
def test_the_form_proposes_a_working_day_after_the_lead_time(desk: Desk, lead_time: int, day: int) -> None:
    desk.world.limit("acme/*", "industry", lead_time_days=lead_time)
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (form,) = desk.slack.socket.forms
    picker = form["blocks"][0]["element"]
    assert datetime(2026, 11, day, 12, tzinfo=UTC) == datetime.fromtimestamp(picker["initial_date_time"], UTC)


@pytest.mark.parametrize(
    ("hours", "fault"),
    [(-1, "Choose a time in the future."), (24 * 91, "Choose a time within 90 days.")],
)
def test_an_invalid_form_shows_the_fault_at_the_field(desk: Desk, hours: int, fault: str) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        at = int((NOON + timedelta(hours=hours)).timestamp())
        answer = desk.slack.socket.deliver(submission(desk.slack.socket.forms[0], note=None, expected=at))

    assert {"response_action": "errors", "errors": {"expected": fault}} == answer
    assert [] == entries(desk)


def test_a_form_that_slack_refuses_to_open_is_reported(desk: Desk) -> None:
    desk.slack.fail_next("views.open", Fault(error="expired_trigger_id"))
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.TOP_UP_ORDERED, desk.alert_id))
        (text,) = desk.slack.socket.wait_for_answers(1)

    assert "The form could not be opened" in text
    assert "expired_trigger_id" in text


def test_details_show_the_explanation_of_why(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.DETAILS, desk.alert_id))
        (text,) = desk.slack.socket.wait_for_answers(1)

    assert "*acme/shop:industry: warning, 500 messages*" in text
    assert (
        "*Limits*\nwarning below 1,000 messages (set for acme/shop:industry): crossed, 500 messages." in text
    )


def test_without_a_response_url_an_answer_is_posted_as_an_ephemeral_message(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.DETAILS, desk.alert_id))
        desk.slack.socket.wait_for_answers(1)

    (call,) = desk.slack.calls_of("chat.postEphemeral")
    assert ("C00000000", "U000ONCALL") == (call["channel"], call["user"])


def test_a_closed_alert_is_described_as_closed(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, "999"))
        desk.slack.socket.deliver(click(ActionId.SILENCE, "999|1h", choice=True))
        assert ["This alert is already closed."] * 2 == desk.slack.socket.wait_for_answers(2)


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ("", "🟡 *acme/shop:industry* · 500 messages"),
        ("acme/*:industry", "🟡 *acme/shop:industry* · 500 messages"),
        ("shop", "🟡 *acme/shop:industry* · 500 messages"),
        ("acme/shpo", "No balance matches acme/shpo; did you mean acme/shop?"),
        ("why acme/shpo", "there is no wallet acme/shpo; did you mean acme/shop?"),
        (
            "silence acme/shop",
            "Say what to silence and how long: `/balance silence acme/*:market 4h reason`.",
        ),
        (
            "silence acme/shop:indstry 4h",
            "The pattern there is no category 'indstry'; did you mean industry?",
        ),
        ("help", "`/balance` the balances, most urgent first"),
    ],
)
def test_the_command_answers_with_text(desk: Desk, text: str, expected_text: str) -> None:
    with desk.listening():
        desk.slack.socket.deliver(command(text, response_url=desk.slack.response_url))
        (answer,) = desk.slack.socket.wait_for_answers(1)

    assert expected_text in answer


def test_a_silence_by_command_takes_names_with_spaces_and_a_reason(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.deliver(command("silence acme/my app:market 4h moving house &amp; desk"))
        (text,) = desk.slack.socket.wait_for_answers(1)

    assert [("acme/my app:market", NOON + timedelta(hours=4), "moving house & desk")] == active_silences(desk)
    assert (
        "Silenced acme/my app:market until Tue 24 Nov, 00:00. It matches no wallet that is configured now."
        == text
    )


def test_it_uses_the_configured_language(desk: Desk) -> None:
    with desk.listening("language"):
        desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, desk.alert_id))
        (text,) = desk.slack.socket.wait_for_answers(1)

    assert "已确认 acme/shop:industry：恶化之前不再提醒。" == text
