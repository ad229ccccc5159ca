"""Shows messages on a terminal as their reader would see them: Slack's blocks, and a mail's plain text.

It reads what was really sent (a `chat.postMessage` payload, a MIME message), so a preview can't be kinder than the truth.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from email.message import EmailMessage
from typing import Any, Final

from balancebot.channels.slack_blocks import without_links

_WIDTH: Final = 76
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")


def slack_preview(payload: Mapping[str, Any], *, width: int = _WIDTH) -> str:
    """Draw a Slack message: its blocks, or its text where there are none."""
    blocks: Sequence[Mapping[str, Any]] = payload.get("blocks") or []
    lines = [line for block in blocks for line in _block(block, width)] if blocks else []
    return _framed(lines or _mrkdwn(str(payload.get("text", "")), width), width)


def mail_preview(message: EmailMessage, *, width: int = _WIDTH) -> str:
    """Draw a mail: the headers a person looks at, and the plain text."""
    body = message.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    head = [f"{name}: {message[name]}" for name in ("From", "To", "Subject") if message[name]]
    lines = [piece for line in (*head, "", *text.strip().splitlines()) for piece in _wrapped(line, width)]
    return _framed(lines, width)


def _block(block: Mapping[str, Any], width: int) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield from _mrkdwn(block["text"]["text"], width)
        case "divider":
            yield "─" * width
        case "section" if "fields" in block:
            for field in block["fields"]:
                label, _, value = _plain(field["text"]).partition("\n")
                yield from _wrapped(f"{label}: {value}", width)
        case "section":
            yield from _mrkdwn(block["text"]["text"], width)
        case "context":
            yield from _mrkdwn(" ".join(element["text"] for element in block["elements"]), width)
        case "actions":
            labels = (element.get("text") or element.get("placeholder") for element in block["elements"])
            yield "  ".join(f"[ {label['text']} ]" for label in labels if label)
        case other:
            yield f"({other})"


def _mrkdwn(text: str, width: int) -> list[str]:
    return [piece for line in _plain(text).splitlines() for piece in _wrapped(line, width)]


def _plain(text: str) -> str:
    shown = _BOLD.sub(r"\1", without_links(text)).replace("`", "")
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _wrapped(line: str, width: int) -> list[str]:
    if _columns(line) <= width:
        return [line]
    # Half the width holds in any script: a Chinese character takes two columns.
    narrow = width if line.isascii() else width * len(line) // _columns(line)
    return textwrap.wrap(line, narrow, subsequent_indent="  ", break_on_hyphens=False) or [""]


def _framed(lines: Sequence[str], width: int) -> str:
    edge = "─" * (width + 2)
    return "\n".join(
        (f"┌{edge}┐", *(f"│ {line}{' ' * (width - _columns(line))} │" for line in lines), f"└{edge}┘")
    )


def _columns(text: str) -> int:
    """Count the columns of a terminal that `text` takes."""
    return sum(
        0
        if unicodedata.combining(sign) or sign == "\ufe0f"
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )
