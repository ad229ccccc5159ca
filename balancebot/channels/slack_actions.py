"""The buttons of a living message. Their action ids and values are what the Socket Mode listener answers to."""

from enum import StrEnum
from typing import Final

from balancebot.channels.slack_blocks import Block
from balancebot.domain.alert import AlertKind
from balancebot.domain.notification import AlertFacts, Facts
from balancebot.settings import Language

BLOCK_ID: Final = "balancebot_alert"
"""The actions block's id."""


class ActionId(StrEnum):
    """What a button asks for; its `value` (an option's, for the menu) holds the alert's id."""

    ACKNOWLEDGE = "balancebot_acknowledge"
    SILENCE = "balancebot_silence"
    """A menu; the options' values are `<alert id>|1h`, `|4h` and `|tomorrow` (9:00)."""
    TOP_UP_ORDERED = "balancebot_top_up_ordered"
    DETAILS = "balancebot_details"


SILENCE_CHOICES: Final = ("1h", "4h", "tomorrow")

_LABELS: Final = {
    Language.ENGLISH: (
        "Acknowledge",
        "Silence",
        ("1 hour", "4 hours", "Until tomorrow 9:00"),
        "Top-up ordered",
        "Details",
    ),
    Language.CHINESE: ("确认", "静默", ("1 小时", "4 小时", "至明天 9:00"), "已下单采购", "详情"),
}


def buttons_for(facts: Facts, language: Language) -> list[Block]:
    """Build the actions block of one open alert; closed ones, groups and all else have no buttons."""
    if not isinstance(facts, AlertFacts) or facts.closed_at is not None:
        return []
    acknowledge, silence, choices, ordered, details = _LABELS[language]
    alert = facts.alert_id
    elements = (
        [] if facts.acknowledged_by else [_button(ActionId.ACKNOWLEDGE, acknowledge, alert, style="primary")]
    )
    elements.append(
        {
            "type": "static_select",
            "action_id": ActionId.SILENCE.value,
            "placeholder": _plain(silence),
            "options": [
                {"text": _plain(label), "value": f"{alert}|{choice}"}
                for label, choice in zip(choices, SILENCE_CHOICES, strict=True)
            ],
        }
    )
    if facts.kind is AlertKind.LOW_BALANCE:
        elements.append(_button(ActionId.TOP_UP_ORDERED, ordered, alert))
    elements.append(_button(ActionId.DETAILS, details, alert))
    return [{"type": "actions", "block_id": BLOCK_ID, "elements": elements}]


def _button(action: ActionId, label: str, alert: str, *, style: str | None = None) -> Block:
    button: Block = {"type": "button", "action_id": action.value, "text": _plain(label), "value": alert}
    return button if style is None else {**button, "style": style}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}
