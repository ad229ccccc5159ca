"""The text of a template becomes Slack blocks, whatever its length."""

from balancebot.notify.slack.blocks import mentions_of, message
from tests.standins.slack_rules import refusal_of


def mrkdwn(text: str) -> dict[str, object]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def test_each_kind_of_paragraph_becomes_its_kind_of_block() -> None:
    built = message("# Title\n\n*lead*\nmore\n\n| A | 1\n| B | 2 | 3\n\n---\n\n~ small\n~ print")
    assert built.blocks == [
        {"type": "header", "text": {"type": "plain_text", "text": "Title", "emoji": True}},
        {"type": "section", "text": mrkdwn("*lead*\nmore")},
        {"type": "section", "fields": [mrkdwn("*A*\n1"), mrkdwn("*B*\n2 | 3")]},
        {"type": "divider"},
        {"type": "context", "elements": [mrkdwn("small print")]},
    ]
    assert built.text == "Title — lead"


def test_buttons_are_above_the_small_print() -> None:
    buttons = {"type": "actions", "elements": []}
    assert [block["type"] for block in message("one\n\n~ two", extra=[buttons]).blocks] == [
        "section",
        "actions",
        "context",
    ]


def test_a_title_too_long_for_a_header_is_a_bold_section() -> None:
    assert message(f"# {'t' * 151}").blocks == [{"type": "section", "text": mrkdwn(f"*{'t' * 151}*")}]
    assert message("# a &amp; b").blocks == [{"type": "section", "text": mrkdwn("*a &amp; b*")}]


def test_long_paragraphs_are_cut_between_lines_and_emoji_count_double() -> None:
    first, second = message("\n".join("🔴" * 700 for _ in range(3))).blocks
    assert [block["text"]["text"].count("\n") for block in (first, second)] == [1, 0]


def test_too_many_blocks_are_cut_in_the_middle() -> None:
    built = message("\n\n".join(["# Title", *(f"part {number}" for number in range(80)), "~ the end"]))
    assert len(built.blocks) == 50
    assert [block["elements"][0]["text"] for block in built.blocks[-2:]] == ["…", "the end"]


def test_too_many_characters_are_cut_at_the_end() -> None:
    built = message("\n\n".join(["x" * 2900] * 10))
    assert refusal_of({"text": built.text, "blocks": list(built.blocks)}) == ""
    assert len(built.blocks) == 5


def test_nothing_is_cut_inside_an_entity_or_a_link() -> None:
    for offset in range(12):
        text = "x" * (3890 + offset) + "&amp;<https://example.com|there>" + "y" * 100
        shown = message(text).text
        assert shown.endswith("…")
        assert shown.count("<") == shown.count(">")
        assert shown.count("&") == shown.count("&amp;")


def test_slack_messages_mention_only_ids_of_slack() -> None:
    ids = (
        "U024BE7LH",
        "W0ABC",
        "S0614TZR7",
        "here",
        "channel",
        "ou_12345678",
        "+86-13800138000",
        "wecom:ann",
    )
    assert "<@U024BE7LH> <@W0ABC> <!subteam^S0614TZR7> <!here> <!channel>" == mentions_of(ids)


def test_mentions_are_above_the_buttons_and_in_the_text_even_if_it_is_long() -> None:
    buttons = {"type": "actions", "elements": []}
    built = message("# Title\n\n*lead*\n\n~ small", extra=[buttons], mentions="<@U1A> <!here>")
    assert ["header", "section", "section", "actions", "context"] == [block["type"] for block in built.blocks]
    assert mrkdwn("<@U1A> <!here>") == built.blocks[2]["text"]
    assert "Title — lead <@U1A> <!here>" == built.text
    long = message("x" * 5000, mentions="<@U1A>")
    assert long.text.endswith("… <@U1A>")
    assert long.plain.endswith("…\n<@U1A>")
    assert max(len(long.text), len(long.plain)) <= 3900
