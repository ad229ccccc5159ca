"""The limits of messages and blocks beyond which Slack refuses them."""

from collections.abc import Iterator
from typing import Any

MAX_BLOCKS = 50
MAX_TEXT = 40_000
MAX_CHARACTERS = 13_200


def refusal_of(message: dict[str, Any]) -> str:
    """Return Slack's error code if it would refuse a message, otherwise ''."""
    text, blocks = message.get("text") or "", message.get("blocks") or []
    if not text and not blocks:
        return "no_text"
    if len(text) > MAX_TEXT:
        return "msg_too_long"
    if list(faults_of(blocks)):
        return "invalid_blocks"
    total = sum(_size(piece) for block in blocks for piece in _texts(block))
    return "msg_blocks_too_long" if total > MAX_CHARACTERS else ""


def faults_of(blocks: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the faults of each block, with its position."""
    if len(blocks) > MAX_BLOCKS:
        yield f"{len(blocks)} blocks"
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        yield "a block_id twice"
    for place, block in enumerate(blocks):
        for fault in _faults(block):
            yield f"block {place} ({block.get('type')}): {fault}"


def _faults(block: dict[str, Any]) -> Iterator[str]:
    match block.get("type"):
        case "divider":
            return
        case "header":
            yield from _text_faults(block.get("text"), limit=150, kinds=("plain_text",))
        case "section":
            fields = block.get("fields")
            if block.get("text") is None and not fields:
                yield "neither text nor fields"
            if block.get("text") is not None:
                yield from _text_faults(block["text"], limit=3000)
            if fields is not None and not 1 <= len(fields) <= 10:
                yield f"{len(fields)} fields"
            for field in fields or ():
                yield from _text_faults(field, limit=2000)
        case "context":
            elements = block.get("elements", [])
            if not 1 <= len(elements) <= 10:
                yield f"{len(elements)} elements"
            for element in elements:
                yield from _text_faults(element, limit=3000)
        case "actions":
            elements = block.get("elements", [])
            if not 1 <= len(elements) <= 25:
                yield f"{len(elements)} elements"
            actions = [element.get("action_id") for element in elements]
            if len(actions) != len(set(actions)):
                yield "an action_id twice"
            for element in elements:
                yield from _element_faults(element)
        case other:
            yield f"unknown type {other}"


def _element_faults(element: dict[str, Any]) -> Iterator[str]:
    if len(element.get("action_id", "")) > 255:
        yield "action_id too long"
    match element.get("type"):
        case "button":
            yield from _text_faults(element.get("text"), limit=75, kinds=("plain_text",))
            if len(element.get("value", "")) > 2000:
                yield "value too long"
            if element.get("style") not in {None, "primary", "danger"}:
                yield "unknown style"
            for part, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
                if "confirm" in element:
                    yield from _text_faults(element["confirm"].get(part), limit=limit, kinds=("plain_text",))
        case "static_select":
            yield from _text_faults(element.get("placeholder"), limit=150, kinds=("plain_text",))
            options = element.get("options", [])
            if not 1 <= len(options) <= 100:
                yield f"{len(options)} options"
            for option in options:
                yield from _text_faults(option.get("text"), limit=75, kinds=("plain_text",))
                if not 1 <= len(option.get("value", "")) <= 150:
                    yield "an option's value"
        case other:
            yield f"unknown element {other}"


def _text_faults(
    text: Any, *, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"no {' or '.join(kinds)}"
    elif not 1 <= _size(str(text.get("text", ""))) <= limit:
        yield f"text of {_size(str(text.get('text', '')))} characters"
    elif (text["type"] == "mrkdwn" and "emoji" in text) or (
        text["type"] == "plain_text" and "verbatim" in text
    ):
        yield "a key of the other kind of text"


def _texts(block: dict[str, Any]) -> Iterator[str]:
    options = [option for element in block.get("elements", ()) for option in element.get("options", ())]
    for part in (block.get("text"), *block.get("fields", ()), *block.get("elements", ()), *options):
        if isinstance(part, dict):
            text = part.get("text", "")
            yield text["text"] if isinstance(text, dict) else text


def _size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
