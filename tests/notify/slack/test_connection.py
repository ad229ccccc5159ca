"""The socket is replaced when it is dead, dropped or about to be closed, and envelopes are acknowledged in time."""

import logging
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from balancebot.config import Proxy, Secret
from balancebot.network import proxy_for
from balancebot.notify.slack.blocks import ActionId
from balancebot.store import silences
from balancebot.store.database import Database
from tests.notify.slack.conftest import Desk
from tests.notify.slack.envelopes import click, command
from tests.standins.slack_api import Fault

HURRIED = timedelta(seconds=0.4)
"""A heartbeat that detects dead sockets quickly; on a slow machine it may consider a live one dead."""


def test_a_dead_socket_that_looks_open_is_replaced(desk: Desk) -> None:
    with desk.listening(heartbeat=HURRIED):
        desk.slack.socket.stop_responding()
        desk.slack.socket.wait_for_sockets(2)
        assert {} == desk.slack.socket.deliver(click(ActionId.ACKNOWLEDGE, desk.alert_id))

    assert desk.alert.acknowledged_by


def test_a_click_that_is_repeated_after_a_lost_acknowledgement_is_executed_once(
    desk: Desk,
) -> None:
    with desk.listening(heartbeat=HURRIED):
        desk.slack.socket.stop_responding()
        assert {} == desk.slack.socket.deliver(click(ActionId.SILENCE, f"{desk.alert_id}|1h", choice=True))

    with desk.world.database.read() as conn:
        assert 1 == len(silences.latest(conn))


def test_a_socket_that_breaks_without_notice_is_replaced(desk: Desk) -> None:
    with desk.listening():
        desk.slack.socket.drop()
        desk.slack.socket.wait_for_sockets(2)
        assert {} == desk.slack.socket.deliver(command("help"))


def test_a_socket_that_slack_is_about_to_close_is_read_to_the_end(desk: Desk) -> None:
    with desk.listening():
        side = desk.slack.socket
        old = side._sockets[-1]
        side.disconnect()
        side.wait_for_sockets(2)
        side._sockets.append(
            side._sockets.pop(side._sockets.index(old))
        )  # one more envelope on the old socket
        assert {} == side.deliver(click(ActionId.ACKNOWLEDGE, desk.alert_id))

    assert desk.alert.acknowledged_by


def test_opening_a_socket_is_retried_while_slack_fails(desk: Desk) -> None:
    desk.slack.fail_next("apps.connections.open", Fault(status=503), Fault(error="internal_error"))
    with desk.listening():
        assert {} == desk.slack.socket.deliver(command("help"))


@pytest.mark.slow
@pytest.mark.timing
def test_a_locked_database_delays_no_acknowledgement_and_the_request_is_executed_later(
    desk: Desk, sqlite_url: str
) -> None:
    other = Database(sqlite_url)
    with desk.listening():
        with other.write() as conn:
            conn.execute(text("UPDATE facts SET value = value"))
            envelope = click(ActionId.ACKNOWLEDGE, desk.alert_id)
            assert {} == desk.slack.socket.deliver(envelope)
            assert not desk.alert.acknowledged_by
        desk.slack.socket.wait_for_answers(1)
    other.dispose()

    assert desk.slack.socket.seconds[envelope["envelope_id"]] < 3
    assert desk.alert.acknowledged_by


@pytest.mark.slow
@pytest.mark.timing
def test_the_listener_stops_immediately_and_accepts_nothing_new(desk: Desk) -> None:
    with desk.listening() as app:
        began = time.monotonic()
        assert app.stop(timedelta(seconds=8))
        assert time.monotonic() - began < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "socket mode"]


def test_an_unknown_envelope_is_acknowledged_and_ignored(desk: Desk) -> None:
    strange = click("somebody_elses_button", "7")
    with desk.listening():
        assert {} == desk.slack.socket.deliver(strange)
        assert {} == desk.slack.socket.deliver({"type": "events_api", "envelope_id": "e1", "payload": {}})
        assert {} == desk.slack.socket.deliver({"type": "interactive", "envelope_id": "e2", "payload": []})


def test_refused_sockets_are_logged_if_socket_mode_is_disabled(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "balancebot")
    with desk.listening():
        desk.slack.socket.disconnect("link_disabled")
        desk.slack.socket.wait_for_sockets(2)

    assert "Socket Mode is switched off in the Slack app's settings" in [
        getattr(record, "error", "") for record in caplog.records
    ]


def test_too_many_sockets_are_opened_at_growing_intervals_and_logged_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "balancebot")
    side = desk.slack.socket
    with desk.listening():
        side.refuses_with = "too_many_websockets"
        side.drop()
        side.wait_for_sockets(4)
        assert 1 >= sum(not socket.closed for socket in side._sockets[1:-1])
        side.refuses_with = ""
        side.wait_for_sockets(5)
        assert {} == side.deliver(command("help"))

    errors = [getattr(record, "error", "") for record in caplog.records if record.msg == "slack.disconnected"]
    assert ["Slack's socket was closed", 1] == [errors[0], sum("too many sockets" in line for line in errors)]
    assert 1 == sum(record.msg == "slack.connected" for record in caplog.records)


def test_a_socket_uses_the_configured_proxy_or_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "slack.example.com")
    url = "wss://wss-primary.slack.com/link/?ticket=1"

    assert "http://proxy:3128" == proxy_for(url, None)
    assert proxy_for("wss://slack.example.com/link", None) is None
    assert proxy_for(url, Proxy(url=None)) is None
    assert "http://other:1" == proxy_for(url, Proxy(url=Secret("http://other:1")))


def test_a_click_received_by_two_replicas_is_executed_once(desk: Desk) -> None:
    envelope = click(ActionId.SILENCE, f"{desk.alert_id}|1h", choice=True)
    with desk.listening(), desk.listening():
        first, second = desk.slack.socket._sockets
        for socket in (first, second):
            desk.slack.socket._sockets.append(
                desk.slack.socket._sockets.pop(desk.slack.socket._sockets.index(socket))
            )
            desk.slack.socket.send(envelope)
        desk.slack.socket.wait_for_answers(2)

    with desk.world.database.read() as conn:
        assert 1 == len(silences.latest(conn))
