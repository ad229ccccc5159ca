"""Builds Block Kit messages from a template's text, within every limit that Slack has."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias, assert_never

from balancebot.domain.alert import Reason
from balancebot.domain.message import (
    Action,
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    Message,
    OutgoingMessage,
    TestMessage,
)
from balancebot.notify.render import Renderer

Block: TypeAlias = dict[str, Any]

MAX_BLOCKS: Final = 50
MAX_HEADER: Final = 150
MAX_SECTION: Final = 3000
MAX_FIELDS: Final = 10
MAX_FIELD: Final = 2000
MAX_TOTAL: Final = 12_500
"""Slack answers `msg_too_long` from about 13,000 characters in all blocks."""
MAX_TEXT: Final = 3900
"""Slack recommends 4,000 characters for the plain text of a message."""

_MAX_REST: Final = 200
"""How much of a text's second paragraph its headline repeats."""
_NO_PROSE: Final = ("# ", "|", "~ ", "---", "`")
_CUT_ENTITY = re.compile(r"&[a-z]{0,3}$")
_HEADING = re.compile(r"\*[^*]+\*")
_USER = re.compile(r"[UW][A-Z0-9]+")
_USER_GROUP = re.compile(r"S[A-Z0-9]+")
_MOST_MENTIONS: Final = 50
_LINK = re.compile(r"<([^|>]+)\|([^>]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackMessage:
    """What is sent: the blocks, and the text that stands for them in notifications and plain clients."""

    text: str
    blocks: Sequence[Block]
    plain: str
    """All of it without blocks: what is sent when Slack refuses those."""


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
    # A header is plain text: nothing in it may need escaping, and it is cut without mercy at 150.
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
    # `verbatim`: no @here, #channel or address in a note becomes a mention.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _pieces(lines: Sequence[str]) -> Iterator[str]:
    """Join lines into texts that each fit into a section."""
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
    """Drop from the middle what is too much: the beginning and the small print at the end stay."""
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
    """Say in one line what a notification shows: the title, what is wrong, and the first thing to do about it."""
    title = next((part[2:].strip() for part in paragraphs if part.startswith("# ")), "")
    told = [part for part in paragraphs if not part.startswith(_NO_PROSE)]
    lead = _spoken(told[0].splitlines()[0]) if told else ""
    further = (line for part in told[1:] for line in part.splitlines() if not _HEADING.fullmatch(line))
    said = f"{title} — {lead}" if title and lead else title or lead or "balancebot"
    if not title:
        return said
    return " · ".join((said, *(_cut(_spoken(line), _MAX_REST) for line in islice(further, 1))))


def _spoken(line: str) -> str:
    return line.replace("*", "")


def _plain(paragraphs: Sequence[str]) -> Iterator[str]:
    for line in "\n".join(paragraphs).splitlines():
        if line.startswith("|"):
            yield "{}: {}".format(*_cells(line))
        else:
            yield line.removeprefix("# ").removeprefix("~ ")


def _size(text: str) -> int:
    """Count as Slack does: in UTF-16 units, in which an emoji is two."""
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, limit: int) -> str:
    """Shorten `text` to `limit`, never in the middle of an entity or a link."""
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
    """Show mrkdwn links as people see them: their label."""
    return _LINK.sub(r"\2", text)


def message_of(
    renderer: Renderer, outgoing: OutgoingMessage, *, buttons: Sequence[Block] = (), alone: bool = False
) -> SlackMessage:
    """Say a outgoing; `alone`: nothing can be edited or answered. News that is no answer stands on the whole message."""
    told, mentions = outgoing.message, mentions_of(outgoing.mentions)
    if outgoing.action is Action.REPLY and not alone:
        return message(renderer.render(_reply_template(told), told), mentions=mentions)
    news = isinstance(told, AlertMessage) and _is_news(told) and (alone or _adds(outgoing.action, told))
    return message(renderer.render(_template(told), told, news=news), extra=buttons, mentions=mentions)


def _is_news(told: AlertMessage) -> bool:
    return told.reason not in {None, Reason.OPENED}


def _adds(action: Action, told: AlertMessage) -> bool:
    """Whether a message of its own goes on from what its reader was told before."""
    return action is Action.POST and not told.opening_undelivered


def _template(told: Message) -> str:
    match told:
        case AlertMessage():
            return "slack/alert.j2"
        case GroupMessage():
            return "slack/group.j2"
        case DigestMessage():
            return "slack/digest.j2"
        case TestMessage() | ChannelFailureMessage():
            return "slack/notice.j2"
        case _:
            assert_never(told)


def _reply_template(told: Message) -> str:
    match told:
        case AlertMessage():
            return "slack/reply.j2"
        case GroupMessage():
            return "slack/group_reply.j2"
        case _:
            return _template(told)
