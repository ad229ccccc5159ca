"""The buttons of living messages. Their action ids and values are what the Socket Mode listener answers to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from balancebot.catalogue import without_middle
from balancebot.domain.alert import AlertKind
from balancebot.domain.message import AlertMessage, GroupMessage, Message
from balancebot.i18n import Wording
from balancebot.notify.slack.blocks import Block

BLOCK_ID: Final = "balancebot_alert"
"""The actions block's id."""


class ActionId(StrEnum):
    """What a button asks for; its `value` (an option's, for a menu) holds the alert's id, or what names a group."""

    ACKNOWLEDGE = "balancebot_acknowledge"
    SILENCE = "balancebot_silence"
    """A menu; the options' values are `<alert or group>|1h`, `|4h` and `|tomorrow` (9:00)."""
    TOP_UP_ORDERED = "balancebot_top_up_ordered"
    DETAILS = "balancebot_details"
    """Under a group it is a menu of its alerts, `<alert>|member`: the answer has the buttons of that one."""


SILENCE_CHOICES: Final = ("1h", "4h", "tomorrow")
MEMBER: Final = "member"
_GROUP: Final = "group"
_MAX_OPTIONS: Final = 50
"""Slack takes 100, but what they say counts among the characters of the message."""
_MAX_OPTION: Final = 75
"""Slack's limit of an option's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGroup:
    """A group as it was shown when somebody clicked: its first `num_members`; later ones nobody has seen there."""

    group_id: str
    num_members: int

    @property
    def value(self) -> str:
        """How a button names it."""
        return f"{_GROUP}:{self.group_id}:{self.num_members}"

    @classmethod
    def read(cls, value: str) -> "ShownGroup | None":
        """Read what a button holds; None where it names an alert. Raises ValueError for a group that is none."""
        kind, *parts = value.split(":")
        if kind != _GROUP:
            return None
        group_id, num_members = parts
        return cls(group_id=group_id, num_members=int(num_members))


def buttons_for(message: Message, words: Wording, *, details: bool = True) -> list[Block]:
    """Build the actions block of what is open; what is closed, and all but alerts and groups, has no buttons."""
    match message:
        case AlertMessage(is_open=True):
            elements = _of_alert(message, words, details=details)
        case GroupMessage():
            elements = _of_group(message, words)
        case _:
            elements = []
    return [{"type": "actions", "block_id": BLOCK_ID, "elements": elements}] if elements else []


def _of_alert(message: AlertMessage, words: Wording, *, details: bool) -> list[Block]:
    alert = message.alert_id
    elements = (
        []
        if message.alert.acknowledged_by
        else [_button(ActionId.ACKNOWLEDGE, words.gettext("Acknowledge"), alert, style="primary")]
    )
    elements.append(_lengths(words.gettext("Silence"), alert, words))
    if message.alert.subject.kind is AlertKind.LOW_BALANCE:
        elements.append(_button(ActionId.TOP_UP_ORDERED, words.gettext("Top-up ordered"), alert))
    if details:
        elements.append(_button(ActionId.DETAILS, words.gettext("Details"), alert))
    return elements


def _of_group(group_message: GroupMessage, words: Wording) -> list[Block]:
    still_open = [member for member in group_message.members if member.is_open]
    if not still_open:
        return []
    unseen = [member for member in still_open if not member.alert.acknowledged_by]
    group = ShownGroup(group_id=group_message.group_id, num_members=len(group_message.members)).value
    elements = []
    if unseen:
        button = _button(ActionId.ACKNOWLEDGE, words.gettext("Acknowledge all"), group, style="primary")
        elements.append({**button, "confirm": _question(len(unseen), words)})
    elements.append(_lengths(words.gettext("Silence all"), group, words))
    elements.append(_menu(ActionId.DETAILS, words.gettext("One alert …"), _members(still_open, words)))
    return elements


def _members(still_open: Iterable[AlertMessage], words: Wording) -> list[tuple[str, str]]:
    """Name the alerts of a group, the worst first, as far as a menu has room."""
    worst_first = sorted(still_open, key=lambda member: -member.alert.severity)
    return [(_name(member, words), f"{member.alert_id}|{MEMBER}") for member in worst_first[:_MAX_OPTIONS]]


def _name(message: AlertMessage, words: Wording) -> str:
    """Name what an alert is about."""
    subject = message.alert.subject
    about = words.category(subject.category) if subject.category else words.kind(subject.kind)
    name = f"{subject.wallet} {about}"
    return name if len(name) <= _MAX_OPTION else without_middle(name, kept=_MAX_OPTION - 1)


def _lengths(placeholder: str, target: str, words: Wording) -> Block:
    labels = (
        words.gettext("1 hour"),
        words.gettext("4 hours"),
        words.gettext("Until tomorrow 9:00"),
    )
    choices = zip(labels, SILENCE_CHOICES, strict=True)
    return _menu(ActionId.SILENCE, placeholder, [(label, f"{target}|{choice}") for label, choice in choices])


def _menu(action: ActionId, placeholder: str, options: Sequence[tuple[str, str]]) -> Block:
    return {
        "type": "static_select",
        "action_id": action.value,
        "placeholder": _plain(placeholder),
        "options": [{"text": _plain(label), "value": value} for label, value in options],
    }


def _question(num_alerts: int, words: Wording) -> Block:
    return {
        "title": _plain(
            words.ngettext(
                "Acknowledge %(count)s open alert?", "Acknowledge %(count)s open alerts?", num_alerts
            )
        ),
        "text": _plain(words.gettext("No more reminders unless one gets worse.")),
        "confirm": _plain(words.gettext("Acknowledge all")),
        "deny": _plain(words.gettext("Cancel")),
    }


def _button(action: ActionId, label: str, value: str, *, style: str | None = None) -> Block:
    button: Block = {"type": "button", "action_id": action.value, "text": _plain(label), "value": value}
    return button if style is None else {**button, "style": style}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}
