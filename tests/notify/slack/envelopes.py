"""Envelopes as Slack sends them."""

import itertools
import json
from typing import Any

from balancebot.notify.slack.payloads import EXPECTED, NOTE, QUANTITY, TOP_UP_FORM

_stamps = itertools.count(1)
ONCALL = {"id": "U000ONCALL", "username": "oncall", "name": "oncall", "team_id": "T000"}
PARTNER = {"id": "U00PARTNER", "username": "partner", "name": "partner", "team_id": "T999"}
"""A person of another workspace, in a shared channel."""


def click(
    action: str, value: str, *, response_url: str = "", user: dict[str, str] = ONCALL, choice: bool = False
) -> dict[str, Any]:
    """Return a click on a button (or with `choice` on an option) of a message in #ops."""
    stamp = next(_stamps)
    pressed = {"selected_option": {"value": value}} if choice else {"value": value}
    return _envelope(
        "interactive",
        {
            "type": "block_actions",
            "team": {"id": "T000", "domain": "example"},
            "user": user,
            "trigger_id": f"{stamp}.trigger",
            "channel": {"id": "C00000000", "name": "ops"},
            "container": {"type": "message", "channel_id": "C00000000"},
            "response_url": response_url,
            "actions": [{"action_id": action, "action_ts": f"{stamp}.000001", **pressed}],
        },
    )


def command(text: str, *, response_url: str = "", user: dict[str, str] = ONCALL) -> dict[str, Any]:
    """`/balance text`"""
    return _envelope(
        "slash_commands",
        {
            "command": "/balance",
            "text": text,
            "team_id": user.get("team_id", "T000"),
            "user_id": user["id"],
            "user_name": user["username"],
            "channel_id": "C00000000",
            "trigger_id": f"{next(_stamps)}.trigger",
            "response_url": response_url,
        },
    )


def submission(
    form: dict[str, Any],
    *,
    note: str | None,
    expected: int | None,
    quantity: str | None = None,
    user: dict[str, str] = ONCALL,
) -> dict[str, Any]:
    """Return the submission of the form."""
    stamp = next(_stamps)
    return _envelope(
        "interactive",
        {
            "type": "view_submission",
            "team": {"id": "T000", "domain": "example"},
            "user": user,
            "trigger_id": f"{stamp}.trigger",
            "view": {
                "id": f"V{stamp:08d}",
                "callback_id": TOP_UP_FORM,
                "private_metadata": form["private_metadata"],
                "state": {
                    "values": {
                        QUANTITY: {QUANTITY: {"type": "plain_text_input", "value": quantity}},
                        NOTE: {NOTE: {"type": "plain_text_input", "value": note}},
                        EXPECTED: {EXPECTED: {"type": "datetimepicker", "selected_date_time": expected}},
                    }
                },
            },
        },
    )


def again(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return the same request in another envelope."""
    return {**json.loads(json.dumps(envelope)), "envelope_id": f"again-{next(_stamps)}", "retry_attempt": 1}


def _envelope(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "envelope_id": f"envelope-{next(_stamps)}",
        "accepts_response_payload": True,
        "payload": payload,
    }
