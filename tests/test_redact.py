"""A secret in text from outside is hidden in any encoding, and other text is not changed."""

import base64
import dataclasses
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.config.secrets import NO_SECRET, Secret
from balancebot.redact import Redactor

SECRET = "9f8Ke7d6c5b4a3Xq20AA17zz"
KEY = "7e503edcb0cb725e331b0311"
PASSWORD = "päss wörd?9/Z"
REDACT = Redactor([SECRET, KEY, PASSWORD])


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        SECRET.upper(),
        SECRET[:10] + "\n  " + SECRET[10:],
        encoded(f"{KEY}:{SECRET}"),
        encoded(f"\0bot\0{SECRET}"),
        encoded("x" + SECRET),
        encoded("xy" + SECRET),
        base64.urlsafe_b64encode(f"??>>{SECRET}".encode()).decode(),
        encoded(f"{KEY}:{SECRET}")[:30] + "\r\n" + encoded(f"{KEY}:{SECRET}")[30:],
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        "".join(f"%{byte:02X}" for byte in SECRET.encode()),
        "".join(f"\\u{ord(char):04x}" for char in SECRET),
        "".join(f"&#{ord(char)};" for char in SECRET),
        SECRET[::-1],
        SECRET[:12],
        SECRET[-12:],
        PASSWORD,
        quote(PASSWORD, safe=""),
        encoded(f"\0bot\0{PASSWORD}"),
        PASSWORD.encode().hex(),
    ],
)
def test_a_secret_is_hidden_in_every_encoding_and_the_text_around_it_is_shown(spelling):
    found = REDACT(f"535 you sent ({spelling}) = no")
    assert found.startswith("535 you sent (")
    assert found.endswith(") = no")
    assert "***" in found
    assert spelling[4:-4] not in found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "auth failed",
        "the password of user bot is wrong, see https://example.com/services/help?a=1",
        "100 %, C:\\temp, caf\xe9, \U0001f600, {'a': 1}",
        SECRET[:7],
        SECRET[6:13],
        "deadbeefdeadbeefdeadbeef",
    ],
)
def test_other_text_is_not_changed(text):
    assert text == REDACT(text)


def test_a_short_value_hides_nothing():
    assert "a key is no monkey" == Redactor(["key"])("a key is no monkey")


def test_common_words_at_the_beginning_of_a_passphrase_are_not_hidden():
    redact = Redactor(["password of finance 77"])
    assert "wrong password" == redact("wrong password")
    assert "wrong ***" == redact("wrong password of finance 77")


def test_the_password_and_the_path_of_a_url_are_hidden():
    redact = Redactor(
        [
            "https://hooks.slack.com/services/T024BE7LH/B0614TZR7/abcdefghijklmnop1234",
            "postgresql+psycopg://balance:open%20sesame@db/prod",
            "http://bot:proxypass@proxy:3128",
        ]
    )
    text_ = "https://hooks.slack.com/services/T024BE7LH/B0614TZR7/abcdefghijklmnop1234 of services"
    assert "https://hooks.slack.com/*** of services" == redact(text_)
    assert "token ***" == redact("token abcdefghijklmnop1234")
    assert "postgresql://balance:***@db/prod, ***, http://bot:***@proxy:3128" == redact(
        "postgresql://balance:open%20sesame@db/prod, open sesame, http://bot:proxypass@proxy:3128"
    )


def test_every_resolved_secret_in_settings_is_found():
    @dataclasses.dataclass
    class Section:
        name: str
        token: Secret
        others: tuple[Secret, ...] = ()

    section = Section("visible", Secret("token-123456"), (Secret("other-123456"), NO_SECRET))
    redact = Redactor.of({"section": section}, [Secret("third-123456")])
    assert "visible *** *** ***" == redact("visible token-123456 other-123456 third-123456")


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from([SECRET, PASSWORD]))
def test_a_secret_is_hidden_within_any_text(before, after, secret):
    assert secret.casefold() not in REDACT(before + secret + after).casefold()


@given(st.text(max_size=300))
def test_any_text_can_be_redacted(text):
    assert isinstance(REDACT(text), str)
