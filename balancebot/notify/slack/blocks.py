"""Build Block Kit messages from a template's text, within all of Slack's limits, and their buttons.

The Socket Mode listener receives the buttons' action ids and values.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeAlias

from balancebot.catalogue import without_middle
from balancebot.domain.alert import AlertKind, Reason
from balancebot.domain.message import (
    Action,
    AlertMessage,
    GroupMessage,
    Message,
    OutgoingMessage,
)
from balancebot.i18n import Wording
from balancebot.notify.render import Renderer, stem_of

Block: TypeAlias = dict[str, Any]

MAX_BLOCKS: Final = 50
MAX_HEADER: Final = 150
MAX_SECTION: Final = 3000
MAX_FIELDS: Final = 10
MAX_FIELD: Final = 2000
MAX_TOTAL: Final = 12_500
"""In all blocks. Slack answers `msg_too_long` from about 13,000 characters."""
MAX_TEXT: Final = 3900
"""Slack recommends 4,000 characters for the plain text of a message."""

_MAX_REST: Final = 200
"""The limit for the part of the second paragraph that the headline repeats, in characters."""
_NO_PROSE: Final = ("# ", "|", "~ ", "---", "`")
_CUT_ENTITY = re.compile(r"&[a-z]{0,3}$")
_HEADING = re.compile(r"\*[^*]+\*")
_USER = re.compile(r"[UW][A-Z0-9]+")
_USER_GROUP = re.compile(r"S[A-Z0-9]+")
_MOST_MENTIONS: Final = 50
_LINK = re.compile(r"<([^|>]+)\|([^>]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackMessage:
    """What is sent: the blocks, and the text that is shown instead in notifications and simple clients."""

    text: str
    blocks: Sequence[Block]
    plain: str
    """The complete text without blocks, which is sent if Slack refuses the blocks."""


def message(rendered: str, *, extra: Sequence[Block] = (), mentions: str = "") -> SlackMessage:
    """Build a message from a rendered template; `mentions` and `extra` blocks (buttons) go before the small print."""
    paragraphs = [part for part in re.split(r"\n\s*\n", rendered.strip()) if part.strip()]
    blocks: list[Block] = []
    for paragraph in paragraphs:
        blocks.extend(_blocks(paragraph.strip()))
    if mentions:
        extra = [{"type": "section", "text": _mrkdwn(mentions)}, *extra]
    room = MAX_TEXT - _size(mentions) - 1
    plain = _cut("\n".join(_plain(paragraphs)), room)
    return SlackMessage(
        text=f"{_cut(_headline(paragraphs), room)} {mentions}".rstrip(),
        blocks=_within_limits(blocks, extra),
        plain=f"{plain}\n{mentions}".rstrip(),
    )


def mentions_of(ids: Sequence[str]) -> str:
    """Return the mentions, in Slack's markup, of those ids that are Slack's."""
    written = [
        f"<@{id_}>"
        if _USER.fullmatch(id_)
        else f"<!subteam^{id_}>"
        if _USER_GROUP.fullmatch(id_)
        else f"<!{id_}>"
        for id_ in ids
        if id_ in {"here", "channel"} or _USER.fullmatch(id_) or _USER_GROUP.fullmatch(id_)
    ]
    return " ".join(written[:_MOST_MENTIONS])


def _blocks(paragraph: str) -> Iterator[Block]:
    lines = paragraph.splitlines()
    if paragraph == "---":
        yield {"type": "divider"}
    elif paragraph.startswith("# ") and len(lines) == 1:
        yield _header(paragraph[2:].strip())
    elif paragraph.startswith("~ "):
        small_print = _cut(" ".join(line.removeprefix("~ ") for line in lines), MAX_SECTION)
        yield {"type": "context", "elements": [_mrkdwn(small_print)]}
    elif all(line.startswith("|") for line in lines):
        for start in range(0, len(lines), MAX_FIELDS):
            yield {
                "type": "section",
                "fields": [_field(line) for line in lines[start : start + MAX_FIELDS]],
            }
    else:
        for text in _pieces(lines):
            yield {"type": "section", "text": _mrkdwn(text)}


def _header(title: str) -> Block:
    # A header is plain text: it can't contain escapes, and Slack cuts it at 150 characters.
    if _size(title) <= MAX_HEADER and "&" not in title:
        return {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}}
    return {"type": "section", "text": _mrkdwn(f"*{_cut(title, MAX_SECTION - 2)}*")}


def _field(line: str) -> Block:
    label, value = _cells(line)
    return _mrkdwn(_cut(f"*{label}*\n{value}", MAX_FIELD))


def _cells(line: str) -> tuple[str, str]:
    label, _, value = line.removeprefix("|").partition("|")
    return label.strip(), value.strip()


def _mrkdwn(text: str) -> Block:
    # `verbatim`: @here, #channel or URLs in a note don't become mentions or links.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _pieces(lines: Sequence[str]) -> Iterator[str]:
    """Join lines into texts, each of which fits into a section."""
    piece = ""
    for line in (_cut(line, MAX_SECTION) for line in lines):
        joined = f"{piece}\n{line}" if piece else line
        if _size(joined) > MAX_SECTION:
            yield piece
            joined = line
        piece = joined
    if piece:
        yield piece


def _within_limits(blocks: Sequence[Block], extra: Sequence[Block]) -> list[Block]:
    """Drop blocks before the end if there are too many; keep the beginning, and the small print at the end."""
    tail = [*extra]
    if blocks and blocks[-1]["type"] == "context":
        tail.append(blocks[-1])
        blocks = blocks[:-1]
    room = MAX_TOTAL - sum(_length(block) for block in tail)
    kept: list[Block] = []
    for block in blocks[: MAX_BLOCKS - len(tail) - 1]:
        room -= _length(block)
        if room < 0:
            break
        kept.append(block)
    if len(kept) < len(blocks):
        kept.append({"type": "context", "elements": [_mrkdwn("…")]})
    return [*kept, *tail]


def _length(block: Block) -> int:
    elements = block.get("elements", ())
    options = [option["text"] for element in elements for option in element.get("options", ())]
    texts = [block.get("text"), *block.get("fields", ()), *elements, *options]
    return sum(_size(str(text["text"])) for text in texts if text and isinstance(text.get("text"), str))


def _headline(paragraphs: Sequence[str]) -> str:
    """Return the line that a notification shows: the title, what is wrong, and the first thing to do about it."""
    title = next((part[2:].strip() for part in paragraphs if part.startswith("# ")), "")
    prose = [part for part in paragraphs if not part.startswith(_NO_PROSE)]
    lead = _without_stars(prose[0].splitlines()[0]) if prose else ""
    further = (line for part in prose[1:] for line in part.splitlines() if not _HEADING.fullmatch(line))
    headline = f"{title} — {lead}" if title and lead else title or lead or "balancebot"
    if not title:
        return headline
    return " · ".join((headline, *(_cut(_without_stars(line), _MAX_REST) for line in islice(further, 1))))


def _without_stars(line: str) -> str:
    return line.replace("*", "")


def _plain(paragraphs: Sequence[str]) -> Iterator[str]:
    for line in "\n".join(paragraphs).splitlines():
        if line.startswith("|"):
            yield "{}: {}".format(*_cells(line))
        else:
            yield line.removeprefix("# ").removeprefix("~ ")


def _size(text: str) -> int:
    """Count characters as Slack does: in UTF-16 units, where an emoji counts as two."""
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, limit: int) -> str:
    """Shorten `text` to `limit`, but never in the middle of an entity or a link."""
    if _size(text) <= limit:
        return text
    shortened = text
    while _size(shortened) > limit - 1:
        shortened = shortened[: len(shortened) - max(1, _size(shortened) - limit + 1)]
    shortened = _CUT_ENTITY.sub("", shortened)
    if shortened.rfind("<") > shortened.rfind(">"):
        shortened = shortened[: shortened.rfind("<")]
    return f"{shortened}…"


def without_links(text: str) -> str:
    """Replace mrkdwn links by their labels, as people see them."""
    return _LINK.sub(r"\2", text)


def message_of(
    renderer: Renderer, outgoing: OutgoingMessage, *, buttons: Sequence[Block] = (), alone: bool = False
) -> SlackMessage:
    """Build the message to send.

    `alone`: messages can't be edited or replied to, so that what is new is put above the whole message.
    """
    content, mentions = outgoing.message, mentions_of(outgoing.mentions)
    if outgoing.action is Action.REPLY and not alone:
        return message(renderer.render(_reply_template(content), content), mentions=mentions)
    is_news = (
        isinstance(content, AlertMessage) and _is_later(content) and (alone or _follows(outgoing, content))
    )
    rendered = renderer.render(_template(content), content, news=is_news)
    return message(rendered, extra=buttons, mentions=mentions)


def _is_later(message: AlertMessage) -> bool:
    return message.reason not in {None, Reason.OPENED}


def _follows(outgoing: OutgoingMessage, message: AlertMessage) -> bool:
    """Whether it is a new message in the channel whose readers have seen an earlier one about this alert."""
    return outgoing.action is Action.POST and not message.opening_undelivered


def _template(content: Message) -> str:
    return f"slack/{stem_of(content)}.j2"


def _reply_template(content: Message) -> str:
    match content:
        case AlertMessage():
            return "slack/reply.j2"
        case GroupMessage():
            return "slack/group_reply.j2"
        case _:
            return _template(content)


BLOCK_ID: Final = "balancebot_alert"
"""The id of the actions block."""


class ActionId(StrEnum):
    """What a button does. Its `value` (for a menu, that of an option) contains the alert's id, or a `ShownGroup`."""

    ACKNOWLEDGE = "balancebot_acknowledge"
    SILENCE = "balancebot_silence"
    """A menu; the options' values are `<alert or group>|1h`, `|4h` and `|tomorrow` (9:00)."""
    TOP_UP_ORDERED = "balancebot_top_up_ordered"
    DETAILS = "balancebot_details"
    """For a group it is a menu of its alerts, `<alert>|member`; the answer has the buttons for the chosen alert."""


SILENCE_CHOICES: Final = ("1h", "4h", "tomorrow")
MEMBER: Final = "member"
_GROUP: Final = "group"
_MAX_OPTIONS: Final = 50
"""Slack allows 100, but their texts count towards the length of the message."""
_MAX_OPTION: Final = 75
"""Slack's limit for an option's text, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGroup:
    """A group as it was shown when somebody clicked: only its first `num_members` were visible."""

    group_id: str
    num_members: int

    @property
    def value(self) -> str:
        """The value of a button for it."""
        return f"{_GROUP}:{self.group_id}:{self.num_members}"

    @classmethod
    def read(cls, value: str) -> "ShownGroup | None":
        """Read a button's value; None if it is an alert's. Raises ValueError for an invalid group."""
        kind, *parts = value.split(":")
        if kind != _GROUP:
            return None
        group_id, num_members = parts
        return cls(group_id=group_id, num_members=int(num_members))


def buttons_for(message: Message, words: Wording, *, details: bool = True) -> list[Block]:
    """Build the actions block of an open alert, or of a group with open alerts; other messages have no buttons."""
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
    """Return the options for a group's alerts, the worst first, as many as a menu may have."""
    worst_first = sorted(still_open, key=lambda member: -member.alert.severity)
    return [(_name(member, words), f"{member.alert_id}|{MEMBER}") for member in worst_first[:_MAX_OPTIONS]]


def _name(message: AlertMessage, words: Wording) -> str:
    """Return the name of the balance or wallet that an alert is about."""
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
        "placeholder": _label(placeholder),
        "options": [{"text": _label(label), "value": value} for label, value in options],
    }


def _question(num_alerts: int, words: Wording) -> Block:
    return {
        "title": _label(
            words.ngettext(
                "Acknowledge %(count)s open alert?", "Acknowledge %(count)s open alerts?", num_alerts
            )
        ),
        "text": _label(words.gettext("No more reminders unless one gets worse.")),
        "confirm": _label(words.gettext("Acknowledge all")),
        "deny": _label(words.gettext("Cancel")),
    }


def _button(action: ActionId, label: str, value: str, *, style: str | None = None) -> Block:
    button: Block = {"type": "button", "action_id": action.value, "text": _label(label), "value": value}
    return button if style is None else {**button, "style": style}


def _label(text: str) -> Block:
    return {"type": "plain_text", "text": text}
