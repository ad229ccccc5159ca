"""Messages as `demo` prints them."""

from balancebot.notify.email.compose import address, compose
from balancebot.notify.preview import mail_preview, slack_preview
from balancebot.notify.render import Renderer
from tests.notify.examples import TEST, outgoing


def test_markup_of_slack_is_printed_as_slack_shows_it() -> None:
    payload = {"text": "*bold* &lt;!channel&gt; a*b*c <https://example.com|Details>"}
    assert slack_preview(payload, width=34) == "\n".join(
        (
            "┌────────────────────────────────────┐",
            "│ bold <!channel> a*b*c Details      │",
            "└────────────────────────────────────┘",
        )
    )


def test_chinese_characters_take_two_columns_and_wrap_within_the_frame() -> None:
    lines = slack_preview({"text": "余量" * 9}, width=20).splitlines()
    assert lines[1:3] == [f"│ {'余量' * 5} │", f"│   {'余量' * 4}   │"]


def test_a_mail_shows_its_headers_and_its_text(renderer: Renderer) -> None:
    mail = compose(
        outgoing(TEST, destination="finance@example.com"), renderer, sender=address("balances@example.com")
    )
    lines = [line.strip("│ ") for line in mail_preview(mail.message).splitlines()]
    assert lines[1:6] == [
        "From: balances@example.com",
        "To: finance@example.com",
        "Subject: [test] balancebot reaches you",
        "",
        "Test message from balancebot",
    ]
