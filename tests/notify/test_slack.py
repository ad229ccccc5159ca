"""Slack with a bot token, against a workspace over real HTTP."""

import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from balancebot.config import Proxy
from balancebot.domain.message import Action, MessageRef
from balancebot.notify.render import Renderer
from balancebot.notify.slack.channel import SlackChannel
from balancebot.ports import ChannelError, ChannelErrorKind, Finding
from tests.messages import changed
from tests.notify.examples import (
    CRITICAL,
    RECOVERED,
    WORSENED,
    claim_is_held,
    claim_is_lost,
    outgoing,
    ref_of,
)
from tests.standins.slack_api import ALL_SCOPES, Fault, SlackStandIn


@pytest.fixture
def channel(slack: SlackStandIn, renderer: Renderer) -> SlackChannel:
    return channel_of(slack, renderer)


def channel_of(slack: SlackStandIn, renderer: Renderer, **options: object) -> SlackChannel:
    settings: dict[str, object] = {"timeout": timedelta(seconds=1), "proxy": Proxy(url=None), **options}
    return SlackChannel(token=slack.token, api_url=slack.api_url, renderer=renderer, **settings)  # type: ignore[arg-type]


def kind_of(outcome: object) -> ChannelErrorKind:
    assert isinstance(outcome, ChannelError), outcome
    return outcome.kind


def test_a_first_message_is_posted_with_metadata_for_searching(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    room = slack.add_channel("ops-alerts")
    ref = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    (message,) = slack.messages("ops-alerts")
    assert ref == MessageRef(channel_id=room, message_id=message["ts"])
    assert message["metadata"] == {
        "event_type": "balancebot_delivery",
        "event_payload": {"delivery": "d1", "alert": "17"},
    }
    assert message["text"] == (
        "🔴 Critical · acme/checkout industry — 312 messages left, enough for ≈ 9 h at the expected usage"
        " · 📝 Finance buys: tell the payments channel, the supplier needs two working days"
    )
    assert message["blocks"][0]["text"]["text"] == "🔴 Critical · acme/checkout industry"


def test_a_message_edits_the_living_message_and_replies_in_its_thread(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    slack.add_channel("ops-alerts")
    thread = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    edited = channel.send(outgoing(RECOVERED, action=Action.EDIT, thread=thread), holds_claim=claim_is_held)
    reply = channel.send(
        outgoing(RECOVERED, action=Action.REPLY, thread=thread, delivery_id="d2"), holds_claim=claim_is_held
    )
    (living,) = slack.messages("ops-alerts")
    (answer,) = slack.messages("ops-alerts", thread=thread.message_id)
    assert (edited, ref_of(reply).message_id) == (thread, answer["ts"])
    assert living["text"].startswith("🟢 Recovered · acme/checkout industry")
    assert living["metadata"]["event_payload"] == {"delivery": "d1", "alert": "17"}
    assert answer["text"].startswith("🟢 Recovered from critical after 3 h: acme/checkout industry")
    assert "subtype" not in answer


def test_only_a_broadcast_reply_shows_in_the_channel(slack: SlackStandIn, channel: SlackChannel) -> None:
    slack.add_channel("ops-alerts")
    thread = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    channel.send(
        outgoing(WORSENED, action=Action.REPLY, thread=thread, broadcast=True, delivery_id="d2"),
        holds_claim=claim_is_held,
    )
    (answer,) = slack.messages("ops-alerts", thread=thread.message_id)
    assert answer["subtype"] == "thread_broadcast"


def test_a_channel_name_is_resolved_once_over_all_pages_and_an_id_never(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    for number in range(5):
        slack.add_channel(f"other-{number}")
    room = slack.add_channel("ops-alerts", private=True)
    slack.page_size = 2
    for destination in ("#ops-alerts", "ops-alerts", "#ops-alerts", room):
        assert (
            ref_of(
                channel.send(outgoing(CRITICAL, destination=destination), holds_claim=claim_is_held)
            ).channel_id
            == room
        )
    assert len(slack.calls_of("conversations.list")) == 6  # three pages, for both spellings


@pytest.mark.parametrize(
    "fault", [Fault(status=404), Fault(error="unknown_method"), Fault(error="missing_scope")]
)
def test_a_name_that_cannot_be_resolved_is_used_unchanged(
    fault: Fault, slack: SlackStandIn, channel: SlackChannel
) -> None:
    room = slack.add_channel("ops-alerts")
    slack.fail_next("conversations.list", fault)
    assert (
        ref_of(
            channel.send(outgoing(CRITICAL, destination="ops-alerts"), holds_claim=claim_is_held)
        ).channel_id
        == room
    )
    (call,) = slack.calls_of("chat.postMessage")
    assert call["channel"] == "#ops-alerts"


def test_a_short_channel_id_is_not_resolved(slack: SlackStandIn, channel: SlackChannel) -> None:
    slack.add_channel("ops-alerts")
    slack.rooms["C1"] = replace(slack.rooms.popitem()[1], id="C1")
    sent = outgoing(CRITICAL, destination="C1")
    ref = ref_of(channel.send(sent, holds_claim=claim_is_held))
    assert (MessageRef(channel_id="C1", message_id=ref.message_id), []) == (
        ref,
        slack.calls_of("conversations.list"),
    )
    assert channel.find(sent, after=None) == [ref]


def test_a_name_resolved_before_a_restart_is_not_resolved_again(
    slack: SlackStandIn, renderer: Renderer
) -> None:
    room = slack.add_channel("ops-alerts")
    channel = channel_of(slack, renderer, recall=lambda: {"#ops-alerts": room})
    ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    assert [] == slack.calls_of("conversations.list")


def test_nothing_is_sent_after_the_claim_was_lost(slack: SlackStandIn, channel: SlackChannel) -> None:
    slack.add_channel("ops-alerts")
    assert kind_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_lost)) is ChannelErrorKind.LEASE_LOST
    assert slack.messages("ops-alerts") == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(error="invalid_auth"), ChannelErrorKind.AUTH),
        (Fault(error="token_revoked"), ChannelErrorKind.AUTH),
        (Fault(error="account_inactive"), ChannelErrorKind.AUTH),
        (Fault(error="channel_not_found"), ChannelErrorKind.NO_SUCH_DESTINATION),
        (Fault(error="is_archived"), ChannelErrorKind.NO_SUCH_DESTINATION),
        (Fault(error="not_in_channel"), ChannelErrorKind.NO_SUCH_DESTINATION),
        (Fault(error="thread_not_found"), ChannelErrorKind.MESSAGE_GONE),
        (Fault(error="service_unavailable"), ChannelErrorKind.SERVER),
        (Fault(error="something_new"), ChannelErrorKind.REJECTED),
        (Fault(error="internal_error", done=True), ChannelErrorKind.IN_DOUBT),
        (Fault(error="fatal_error"), ChannelErrorKind.IN_DOUBT),
        (Fault(status=500), ChannelErrorKind.IN_DOUBT),
        (Fault(status=502, done=True), ChannelErrorKind.IN_DOUBT),
        (Fault(status=200), ChannelErrorKind.IN_DOUBT),
        (Fault(status=302), ChannelErrorKind.IN_DOUBT),
        (Fault(lose_answer=True), ChannelErrorKind.IN_DOUBT),
        (Fault(delay=1.5), ChannelErrorKind.IN_DOUBT),
        (Fault(without="ts"), ChannelErrorKind.IN_DOUBT),
        (Fault(without="channel"), ChannelErrorKind.IN_DOUBT),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_failures_are_classified_by_whether_the_message_may_exist(
    slack: SlackStandIn, channel: SlackChannel, fault: Fault, kind: ChannelErrorKind
) -> None:
    room = slack.add_channel("ops-alerts")
    slack.fail_next("chat.postMessage", fault)
    assert kind_of(channel.send(outgoing(CRITICAL, destination=room), holds_claim=claim_is_held)) is kind
    assert len(slack.calls_of("chat.postMessage")) == 1


def test_a_rate_limit_has_a_retry_after(slack: SlackStandIn, channel: SlackChannel) -> None:
    room = slack.add_channel("ops-alerts")
    slack.fail_next("chat.postMessage", Fault(rate_limited=7))
    error = channel.send(outgoing(CRITICAL, destination=room), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert (error.kind, error.retry_after) == (ChannelErrorKind.RATE_LIMITED, timedelta(seconds=7))


def test_a_closed_port_is_unreachable_and_not_in_doubt(slack: SlackStandIn, renderer: Renderer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    channel = SlackChannel(token="xoxb", api_url=f"http://127.0.0.1:{port}/api/", renderer=renderer)
    error = channel.send(outgoing(CRITICAL, destination="C00000000"), holds_claim=claim_is_held)
    assert isinstance(error, ChannelError)
    assert (ChannelErrorKind.UNREACHABLE, "Slack can't be reached: connection refused") == (
        error.kind,
        str(error.message),
    )


def test_an_edit_in_doubt_can_be_repeated(slack: SlackStandIn, channel: SlackChannel) -> None:
    slack.add_channel("ops-alerts")
    thread = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    slack.fail_next("chat.update", Fault(lose_answer=True))
    edit = outgoing(RECOVERED, action=Action.EDIT, thread=thread)
    assert kind_of(channel.send(edit, holds_claim=claim_is_held)) is ChannelErrorKind.SERVER
    assert ref_of(channel.send(edit, holds_claim=claim_is_held)) == thread


@pytest.mark.parametrize("refusal", ["invalid_blocks", "msg_too_long", "msg_blocks_too_long"])
def test_a_message_is_sent_as_plain_text_if_slack_refuses_its_blocks(
    slack: SlackStandIn, channel: SlackChannel, refusal: str
) -> None:
    slack.add_channel("ops-alerts")
    slack.fail_next("chat.postMessage", Fault(error=refusal))
    ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    (message,) = slack.messages("ops-alerts")
    assert message["blocks"] == []
    assert "Limit: 312 messages, below the critical limit of 5,000 (set for acme/*)" in message["text"]
    assert message["metadata"]["event_payload"]["delivery"] == "d1"


@pytest.mark.parametrize("action", [Action.EDIT, Action.REPLY])
def test_a_deleted_message_is_reported_as_gone(
    slack: SlackStandIn, channel: SlackChannel, action: Action
) -> None:
    slack.add_channel("ops-alerts")
    thread = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    slack.delete("ops-alerts", thread.message_id)
    change = outgoing(RECOVERED, action=action, thread=thread)
    assert kind_of(channel.send(change, holds_claim=claim_is_held)) is ChannelErrorKind.MESSAGE_GONE


def test_only_the_message_of_a_lost_delivery_is_found_by_its_metadata(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    slack.add_channel("ops-alerts")
    slack.page_size = 2
    before = ref_of(channel.send(outgoing(CRITICAL, delivery_id="before"), holds_claim=claim_is_held))
    slack.fail_next("chat.postMessage", *(Fault(lose_answer=True, done=True),) * 2)
    for _ in range(2):
        assert (
            kind_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held)) is ChannelErrorKind.IN_DOUBT
        )
    for number in range(5):
        ref_of(channel.send(outgoing(CRITICAL, delivery_id=f"other{number}"), holds_claim=claim_is_held))
    _, first, second = slack.messages("ops-alerts")[:3]
    for after in (before, None):
        assert [first["ts"], second["ts"]] == [
            ref.message_id for ref in found(channel.find(outgoing(CRITICAL), after=after))
        ]
    assert found(channel.find(outgoing(CRITICAL, delivery_id="never"), after=before)) == []
    last = MessageRef(channel_id=before.channel_id, message_id=slack.messages("ops-alerts")[-1]["ts"])
    assert found(channel.find(outgoing(CRITICAL), after=last)) == []


def found(outcome: object) -> list[MessageRef]:
    assert isinstance(outcome, list), outcome
    return outcome


def test_a_lost_reply_is_searched_for_in_its_thread(slack: SlackStandIn, channel: SlackChannel) -> None:
    room = slack.add_channel("ops-alerts")
    thread = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    slack.fail_next("chat.postMessage", Fault(lose_answer=True, done=True))
    reply = outgoing(WORSENED, action=Action.REPLY, thread=thread, delivery_id="d2")
    channel.send(reply, holds_claim=claim_is_held)
    (answer,) = slack.messages("ops-alerts", thread=thread.message_id)
    assert found(channel.find(reply, after=None)) == [MessageRef(channel_id=room, message_id=answer["ts"])]


def test_without_the_scope_for_history_a_search_is_reported_as_impossible(renderer: Renderer) -> None:
    with SlackStandIn(scopes=("chat:write", "channels:read", "groups:read")) as slack:
        slack.add_channel("ops-alerts")
        error = channel_of(slack, renderer).find(outgoing(CRITICAL), after=None)
    assert isinstance(error, ChannelError)
    assert error.kind is ChannelErrorKind.REJECTED
    assert "channels:history" in str(error.message)


def test_a_failed_search_is_retried(slack: SlackStandIn, channel: SlackChannel) -> None:
    slack.add_channel("ops-alerts")
    slack.fail_next("conversations.history", Fault(lose_answer=True))
    assert kind_of(channel.find(outgoing(CRITICAL), after=None)) is ChannelErrorKind.SERVER


def test_a_duplicate_is_deleted_and_a_missing_one_is_no_error(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    slack.add_channel("ops-alerts")
    ref = ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    assert [channel.delete(ref), channel.delete(ref)] == [None, None]
    assert slack.messages("ops-alerts") == []


def test_a_refused_search_is_repeated_before_the_message_is_sent_again(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    slack.add_channel("ops-alerts")
    slack.fail_next("conversations.history", *[Fault(error="something_new")] * 6)
    kinds = [
        kind_of(channel.find(replace(outgoing(CRITICAL), attempt=attempt), after=None))
        for attempt in range(1, 7)
    ]
    assert [ChannelErrorKind.SERVER] * 5 + [ChannelErrorKind.REJECTED] == kinds


def test_a_channel_replaced_by_another_of_the_same_name_is_resolved_again_immediately(
    slack: SlackStandIn, channel: SlackChannel
) -> None:
    old = slack.add_channel("ops-alerts")
    ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
    slack.rooms[old].archived = True
    new = slack.add_channel("ops-alerts")
    assert ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held)).channel_id == new


def test_without_the_scopes_to_list_channels_a_name_is_used_unchanged(renderer: Renderer) -> None:
    with SlackStandIn(scopes=("chat:write",)) as slack:
        room = slack.add_channel("ops-alerts")
        channel = channel_of(slack, renderer)
        assert kind_of(channel.find(outgoing(CRITICAL), after=None)) is ChannelErrorKind.REJECTED
        assert ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held)).channel_id == room
        ref_of(channel.send(outgoing(CRITICAL), holds_claim=claim_is_held))
        assert len(slack.calls_of("conversations.list")) == 2  # the id of the first post is remembered


def test_check_names_each_missing_scope_and_each_channel_the_bot_is_not_in(renderer: Renderer) -> None:
    with SlackStandIn(scopes=("chat:write", "channels:read", "groups:read", "channels:history")) as slack:
        slack.add_channel("ops-alerts")
        finance = slack.add_channel("finance", member=False)
        slack.add_channel("old", archived=True)
        findings = channel_of(slack, renderer).check(["#ops-alerts", finance, "#old", "#nowhere"])
    assert findings == [
        Finding(ok=True, words="token of balancebot in Example"),
        Finding(ok=False, words="scope groups:history is missing; add it and install the app again"),
        Finding(ok=True, words="may post to #ops-alerts"),
        Finding(ok=False, words=f"the bot isn't in {finance}: /invite it there"),
        Finding(ok=False, words="Slack answers is_archived for #old: the channel is archived"),
        Finding(
            ok=False,
            words="Slack answers channel_not_found for #nowhere: the bot sees no channel of that name or id; "
            "it must be invited to a private one",
        ),
    ]


def test_check_remarks_if_guests_cannot_be_distinguished_from_members(renderer: Renderer) -> None:
    with SlackStandIn(scopes=(*ALL_SCOPES[:-1], "commands")) as slack:
        listening = channel_of(slack, renderer, app_token=slack.app_token)
        (note,) = (finding for finding in listening.check([]) if finding.ok is None)
    assert note.words.startswith("scope users:read is missing: guests of the workspace can't be told")


def test_check_stops_at_a_refused_token(slack: SlackStandIn, renderer: Renderer) -> None:
    slack.token = "xoxb-another"
    refused = SlackChannel(token="xoxb-old", api_url=slack.api_url, renderer=renderer, proxy=Proxy(url=None))
    (finding,) = refused.check(["#ops-alerts"])
    assert finding == Finding(
        ok=False,
        words="Slack answers invalid_auth for the bot token: the token is not valid; put the correct one into [slack]",
    )


def test_buttons_are_shown_only_where_they_work_and_while_the_alert_is_open(
    slack: SlackStandIn, renderer: Renderer
) -> None:
    assert set(ALL_SCOPES) == set(slack.scopes)
    slack.add_channel("ops-alerts")
    listening = channel_of(slack, renderer, app_token="xapp")
    for message in (CRITICAL, changed(CRITICAL, acknowledged_by="U1"), RECOVERED):
        ref_of(listening.send(outgoing(message), holds_claim=claim_is_held))
    ref_of(channel_of(slack, renderer).send(outgoing(CRITICAL), holds_claim=claim_is_held))
    assert [
        [
            element["action_id"]
            for block in message["blocks"]
            if block["type"] == "actions"
            for element in block["elements"]
        ]
        for message in slack.messages("ops-alerts")
    ] == [
        ["balancebot_acknowledge", "balancebot_silence", "balancebot_top_up_ordered", "balancebot_details"],
        ["balancebot_silence", "balancebot_top_up_ordered", "balancebot_details"],
        [],
        [],
    ]
