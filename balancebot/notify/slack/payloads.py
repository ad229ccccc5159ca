"""What people ask in Slack, read strictly from Slack's envelopes into values.

`request` names one act of one person: Slack may send its envelope again, and the same act has the same name then.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from balancebot.notify.slack.buttons import ActionId, ShownGroup

Envelope: TypeAlias = Mapping[str, Any]

TOP_UP_FORM: Final = "balancebot_top_up"
"""The form's callback id."""
NOTE, EXPECTED = "note", "expected"
"""Its fields: block and action ids alike."""
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackUser:
    """A Slack user."""

    id: str
    name: str

    @property
    def who(self) -> str:
        """How they are named to others: `ops (U024BE7LH)`."""
        return f"{self.name[:_LONGEST_NAME]} ({self.id})" if self.name else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Where one person alone is answered."""

    person: str
    channel: str
    url: str = ""
    """Slack's own address for answers to this request, good for half an hour; '' = there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A button, or a choice from its menu."""

    request: str
    person: SlackUser
    reply_to: ReplyTo
    action: ActionId
    alert_id: str
    """'' where a group is meant."""
    group: ShownGroup | None
    choice: str
    """What was chosen of a menu: how long to silence, that a group's member is meant; '' for buttons."""
    trigger: str
    """Lets a form be opened within three seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The top-up form, filled in."""

    request: str
    person: SlackUser
    reply_to: ReplyTo
    alert_id: str
    note: str
    expected: int | None
    """Epoch second at which the top-up is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`/balance …`"""

    request: str
    person: SlackUser
    reply_to: ReplyTo
    text: str


Asked: TypeAlias = Click | Submission | Command


def parse_envelope(envelope: Envelope) -> Asked | None:
    """Read what is asked; None for what isn't meant for us, and for what isn't as Slack writes it."""
    try:
        payload = envelope["payload"]
        match envelope["type"], payload.get("type"):
            case "slash_commands", _:
                return _command(envelope, payload)
            case "interactive", "block_actions":
                return _click(envelope, payload)
            case "interactive", "view_submission":
                return _submission(envelope, payload)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return None
    return None


def _command(envelope: Envelope, payload: Mapping[str, Any]) -> Command:
    person = SlackUser(id=payload["user_id"], name=payload.get("user_name", ""))
    text = _unescaped(payload.get("text", "")).strip()
    return Command(
        request=_named(envelope, payload.get("trigger_id"), "command", person.id, text),
        person=person,
        reply_to=ReplyTo(
            person=person.id,
            channel=payload.get("channel_id", ""),
            url=payload.get("response_url", ""),
        ),
        text=text,
    )


def _click(envelope: Envelope, payload: Mapping[str, Any]) -> Click:
    person = _person(payload["user"])
    pressed = payload["actions"][0]
    value = pressed["selected_option"]["value"] if "selected_option" in pressed else pressed["value"]
    target, _, choice = value.partition("|")
    group = ShownGroup.read(target)
    stamp = pressed.get("action_ts") or payload.get("trigger_id")
    container = payload.get("container") or {}
    return Click(
        request=_named(envelope, stamp, pressed["action_id"], person.id, value),
        person=person,
        reply_to=ReplyTo(
            person=person.id,
            channel=(payload.get("channel") or {}).get("id") or container.get("channel_id", ""),
            url=payload.get("response_url") or "",
        ),
        action=ActionId(pressed["action_id"]),
        alert_id="" if group else target,
        group=group,
        choice=choice,
        trigger=payload.get("trigger_id", ""),
    )


def _submission(envelope: Envelope, payload: Mapping[str, Any]) -> Submission | None:
    view = payload["view"]
    if view["callback_id"] != TOP_UP_FORM:
        return None
    person = _person(payload["user"])
    values = view["state"]["values"]
    opened_for = json.loads(view["private_metadata"])
    # by what was filled in: whoever corrects the form after a refusal asks for something else
    stamp = view.get("id") and f"{view['id']} {json.dumps(values, sort_keys=True)}"
    return Submission(
        request=_named(envelope, stamp, TOP_UP_FORM, person.id, opened_for["alert"]),
        person=person,
        reply_to=ReplyTo(person=person.id, channel=opened_for["channel"], url=opened_for["url"]),
        alert_id=opened_for["alert"],
        note=(values.get(NOTE, {}).get(NOTE, {}).get("value") or "").strip(),
        expected=values.get(EXPECTED, {}).get(EXPECTED, {}).get("selected_date_time"),
    )


def _person(user: Mapping[str, Any]) -> SlackUser:
    return SlackUser(id=user["id"], name=user.get("username") or user.get("name") or "")


def _named(envelope: Envelope, stamp: object, *parts: str) -> str:
    """Name a request by what Slack stamped it with; the envelope's own id only where there is no stamp."""
    told = "\n".join((str(stamp or envelope["envelope_id"]), *parts))
    return f"slack {hashlib.sha256(told.encode()).hexdigest()[:40]}"


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
