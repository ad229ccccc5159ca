"""Requests from Slack: parse envelopes and the text after `/balance` strictly into values.

`id` identifies one act of one person: if Slack sends the envelope again, the id is the same.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Any, Final, TypeAlias

from balancebot.config import UnfitError
from balancebot.config.values import duration
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import NO_SENTENCE, Sentence, clean_text, sentence
from balancebot.domain.silence import LONGEST_SILENCE
from balancebot.notify.slack.blocks import ActionId, ShownGroup

Envelope: TypeAlias = Mapping[str, Any]

TOP_UP_FORM: Final = "balancebot_top_up"
"""The form's callback id."""
NOTE, EXPECTED, QUANTITY = "note", "expected", "quantity"
"""Its fields: each is both a block id and an action id."""
_LONGEST_NAME = 100
_LAST_EPOCH = 2**33
"""Epoch seconds of the latest instant that is accepted from a form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackUser:
    """A Slack user."""

    id: str
    name: str
    team: str = ""
    """The workspace they belong to; '' = the request doesn't say."""

    @property
    def named(self) -> str:
        """The name shown to others: `ops (U024BE7LH)`."""
        name = clean_text(self.name, at_most=_LONGEST_NAME)
        return f"{name} ({self.id})" if name else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTo:
    """Where to send an answer that only one person sees."""

    person: str
    channel: str
    url: str = ""
    """Slack's URL for answers to this request, valid for half an hour; '' = there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A button, or a choice from its menu."""

    id: str
    person: SlackUser
    reply_to: ReplyTo
    action: ActionId
    alert_id: str
    """'' if the click is about a group."""
    group: ShownGroup | None
    choice: str
    """The option chosen in a menu: the length of a silence, or `member` for an alert of a group; '' for buttons."""
    trigger: str
    """The id with which a form can be opened within three seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The top-up form, filled in."""

    id: str
    person: SlackUser
    reply_to: ReplyTo
    alert_id: str
    note: str
    quantity: str = ""
    """How many messages were ordered, as it was typed."""
    expected: int | None
    """Epoch second at which the top-up is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`/balance …`"""

    id: str
    person: SlackUser
    reply_to: ReplyTo
    text: str


SlackRequest: TypeAlias = Click | Submission | Command


def parse_envelope(envelope: Envelope) -> SlackRequest | None:
    """Parse a request; None if it isn't for this bot, or isn't in Slack's format."""
    try:
        payload = envelope["payload"]
        match envelope["type"], payload.get("type"):
            case "slash_commands", _:
                return _command(envelope, payload)
            case "interactive", "block_actions":
                return _click(envelope, payload)
            case "interactive", "view_submission":
                return _submission(envelope, payload)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        return None
    return None


def _command(envelope: Envelope, payload: Mapping[str, Any]) -> Command:
    person = SlackUser(
        id=_id(payload["user_id"]),
        name=_text(payload.get("user_name") or ""),
        team=_id(payload["team_id"]) if payload.get("team_id") else "",
    )
    text = _unescaped(_text(payload.get("text") or "")).strip()
    return Command(
        id=_named(envelope, payload.get("trigger_id"), "command", person.id, text),
        person=person,
        reply_to=ReplyTo(
            person=person.id,
            channel=_text(payload.get("channel_id") or ""),
            url=_text(payload.get("response_url") or ""),
        ),
        text=text,
    )


def _click(envelope: Envelope, payload: Mapping[str, Any]) -> Click:
    person = _person(payload)
    pressed = payload["actions"][0]
    value = pressed["selected_option"]["value"] if "selected_option" in pressed else pressed["value"]
    target, _, choice = value.partition("|")
    group = ShownGroup.read(target)
    stamp = pressed.get("action_ts") or payload.get("trigger_id")
    container = payload.get("container") or {}
    return Click(
        id=_named(envelope, stamp, pressed["action_id"], person.id, value),
        person=person,
        reply_to=ReplyTo(
            person=person.id,
            channel=_text((payload.get("channel") or {}).get("id") or container.get("channel_id") or ""),
            url=_text(payload.get("response_url") or ""),
        ),
        action=ActionId(pressed["action_id"]),
        alert_id="" if group else target,
        group=group,
        choice=choice,
        trigger=_text(payload.get("trigger_id") or ""),
    )


def _submission(envelope: Envelope, payload: Mapping[str, Any]) -> Submission | None:
    view = payload["view"]
    if view["callback_id"] != TOP_UP_FORM:
        return None
    person = _person(payload)
    values = view["state"]["values"]
    opened_for = json.loads(view["private_metadata"])
    # the id depends on the values, because a form that is corrected after an error is a new request
    stamp = view.get("id") and f"{view['id']} {json.dumps(values, sort_keys=True)}"
    return Submission(
        id=_named(envelope, stamp, TOP_UP_FORM, person.id, opened_for["alert"]),
        person=person,
        reply_to=ReplyTo(
            person=person.id, channel=_text(opened_for["channel"]), url=_text(opened_for["url"])
        ),
        alert_id=_text(opened_for["alert"]),
        quantity=_text(values.get(QUANTITY, {}).get(QUANTITY, {}).get("value") or "").strip(),
        note=_text(values.get(NOTE, {}).get(NOTE, {}).get("value") or "").strip(),
        expected=_epoch(values.get(EXPECTED, {}).get(EXPECTED, {}).get("selected_date_time")),
    )


def _person(payload: Mapping[str, Any]) -> SlackUser:
    """Read the user. The payload's own `team` is where they act; it counts only if the user's team isn't given."""
    user = payload["user"]
    team = user.get("team_id") or (payload.get("team") or {}).get("id")
    return SlackUser(
        id=_id(user["id"]),
        name=_text(user.get("username") or user.get("name") or ""),
        team=_id(team) if team else "",
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _id(value: object) -> str:
    text = _text(value)
    if not (text.isascii() and text.isalnum() and len(text) <= _LONGEST_NAME):
        raise ValueError(text)
    return text


def _epoch(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or not 0 <= value < _LAST_EPOCH:
        raise TypeError(type(value).__name__)
    return value


def _named(envelope: Envelope, stamp: object, *parts: str) -> str:
    """Return the id of a request, made of Slack's timestamp or trigger, or of the envelope's id if there is none."""
    parts_of_name = "\n".join((str(stamp or envelope["envelope_id"]), *parts))
    return f"slack {hashlib.sha256(parts_of_name.encode()).hexdigest()[:40]}"


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_TOMORROW: Final = "tomorrow"
_MORNING = time(9)
_SILENCE = re.compile(r"(?P<pattern>.+?)\s+(?P<length>\d+[smhd]|tomorrow)(?:\s+(?P<reason>.*))?", re.DOTALL)
_QUOTES = "\"'`“”‘’"
_duration = duration(at_least=timedelta(seconds=1), at_most=LONGEST_SILENCE)

Length: TypeAlias = timedelta | None
"""How long a silence lasts; None = until tomorrow, 9:00 local time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowList:
    """List the balances that match a pattern."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Explain a balance or a wallet."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """Make a silence."""

    pattern: Pattern
    length: Length
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """Show how the command is used, and with `fault` what is wrong with this use."""

    fault: Sentence = NO_SENTENCE


Wanted: TypeAlias = ShowList | Why | Mute | Help


def parse_command(text: str) -> Wanted:
    """Parse the text of a command. Names may contain spaces, and may be in quotation marks."""
    verb, _, rest = text.partition(" ")
    match verb.lower(), rest.strip():
        case "help" | "?", "":
            return Help()
        case "why", target:
            return Why(target=target.strip(_QUOTES)) if target else Help()
        case "silence", wish:
            found = _SILENCE.fullmatch(wish)
            if found is None:
                return Help(
                    fault=sentence(
                        "Say what to silence and how long: `/balance silence acme/*:market 4h reason`."
                    )
                )
            pattern = Pattern.parse(found["pattern"].strip(_QUOTES))
            if isinstance(pattern, Sentence):
                return Help(fault=sentence("The pattern %(fault)s", fault=pattern))
            try:
                length = read_length(found["length"])
            except UnfitError:
                return Help(
                    fault=sentence("The length %(text)s must be from 1s to 30d", text=found["length"])
                )
            return Mute(pattern=pattern, length=length, reason=(found["reason"] or "").strip())
        case _:
            return ShowList(pattern=text.strip(_QUOTES))


def read_length(text: str) -> Length:
    """Read `4h` or `tomorrow`. Raises UnfitError."""
    return None if text == _TOMORROW else _duration(text)


def end_of(length: Length, *, now: datetime, zone: tzinfo) -> datetime:
    """Return the end of a silence of this length that begins `now`."""
    if length is not None:
        return now + length
    return datetime.combine(now.astimezone(zone).date() + timedelta(days=1), _MORNING, tzinfo=zone)
