"""Whatever goes wrong outside is said in the reader's language, wherever it was worded."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import balancebot
from balancebot.config import Language
from balancebot.i18n import Wording
from balancebot.jsms.answer import _MEANINGS
from balancebot.notify.slack.api import _ADVICE, slack_error

CHINESE = Wording(language=Language.CHINESE)
WORDED_IN = (
    "jsms/answer.py",
    "jsms/transport.py",
    "jsms/source.py",
    "notify/email/smtp.py",
    "network.py",
)
TAKING_WORDS = {"_schema", "_by_code"}
NEVER_TOLD = {
    "the claim on this delivery has run out",
    "nobody can look into a mailbox",
    "a mail can't be taken back",
}
NAMES = {
    "base_url",
    "proxy",
    "HTTP",
    "HTML",
    "JSON",
    "ASCII",
    "SMTPUTF",
    "devKey",
    "devSecret",
    "appKey",
    "masterSecret",
    "Slack",
}

ONLY_FIGURES = {"200, but x7 (x7)", "x7: x7", "x7, code x7"}


def worded() -> Iterator[str]:
    """Yield every sentence that these files give to an error, with x7 for what varies."""
    for name in WORDED_IN:
        tree = ast.parse((Path(balancebot.__file__).parent / name).read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            said = [keyword.value for keyword in call.keywords if keyword.arg == "message"]
            if isinstance(call.func, ast.Name) and call.func.id in TAKING_WORDS:
                said += call.args
            yield from filter(None, map(text_of, said))


def text_of(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)) if text not in NEVER_TOLD:
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "x7" for part in parts)
        case _:
            return None


MEANT = {meaning for _, meaning in _MEANINGS.values()}
ADVISED = {slack_error(code, where="#ops").message for code in _ADVICE}
LOOKS = {f"200, but {look} (x7)" for look in ("empty", "an HTML page", "not JSON")}
SENTENCES = sorted(({*worded()} - ONLY_FIGURES) | MEANT | ADVISED | LOOKS)


def test_there_are_sentences_to_say() -> None:
    assert len(SENTENCES) > 50


@pytest.mark.parametrize("sentence", SENTENCES)
def test_every_trouble_is_said_in_chinese(sentence: str) -> None:
    said = CHINESE.trouble(sentence)
    left = (
        set(re.findall(r"[A-Za-z_]{4,}", said))
        - NAMES
        - set(_ADVICE)
        - {"invite", "balancebot", "Webhook", "slack"}
    )
    assert (True, set()) == (re.search("[一-鿿]", said) is not None, left)


def test_what_a_server_said_is_quoted_as_it_came() -> None:
    detail = "acme/legacy: api.sms.example.com: 403, code 50036: the app is in a blacklist (it said “App in: black list”)"
    assert CHINESE.trouble(detail) == (
        "acme/legacy：api.sms.example.com：403，错误码 50036：该应用在黑名单中（对方称“App in: black list”）"
    )
    assert Wording().trouble(detail) == detail


def test_what_nobody_foresaw_is_shown_as_it_is() -> None:
    assert CHINESE.trouble("something else") == "something else"
