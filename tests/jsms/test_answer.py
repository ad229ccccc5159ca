"""Every answer of JSMS gives readings or a fault of the right kind, and never a guess."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.balance import UNALLOCATED_EVERYWHERE, Absent, Readings
from balancebot.domain.sentence import sentence
from balancebot.jsms.answer import (
    MAX_READING,
    MAX_RETRY_AFTER,
    AnswerFault,
    EndpointKind,
    ParsedBalances,
    Reply,
    parse_answer,
    retry_after,
)
from balancebot.ports import SourceErrorKind

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOOD = {"app_balance": 1, "app_voice": 22, "app_industry": 44, "app_market": 14}


def answer(body, status=200, kind=EndpointKind.APP, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_answer(Reply(status=status, headers=named, body=raw), kind, now=NOW)


def failure(status, code, message="words"):
    return answer({"error": {"code": code, "message": message}}, status)


def test_an_app_answer_becomes_its_four_readings():
    assert ParsedBalances(readings=Readings(1, 22, 44, 14), unknown_fields={}) == answer(GOOD)


def test_an_account_answer_becomes_its_four_readings():
    body = {"dev_balance": 9, "dev_voice": 702, "dev_industry": 121981, "dev_market": 11683}
    expected = ParsedBalances(readings=Readings(9, 702, 121981, 11683), unknown_fields={})
    assert expected == answer(body, kind=EndpointKind.ACCOUNT)


def test_null_is_unallocated_and_zero_is_zero():
    body = {**GOOD, "app_voice": None, "app_market": 0}
    assert Readings(1, Absent.UNALLOCATED, 44, 0) == answer(body).readings


def test_the_largest_allowed_balance_is_read():
    assert MAX_READING == answer({**GOOD, "app_market": MAX_READING}).readings.market


def test_undocumented_fields_are_kept_and_change_nothing():
    found = answer({**GOOD, "app_special": 7, "dev_x": "y"})
    assert (
        ParsedBalances(readings=Readings(1, 22, 44, 14), unknown_fields={"app_special": 7, "dev_x": "y"})
        == found
    )


@pytest.mark.parametrize(
    "value", [True, False, -1, 1.5, 1.0, "5", [], {}, MAX_READING + 1, 2**63 - 1, 10**400]
)
def test_an_invalid_balance_is_a_schema_fault_that_names_the_field(value):
    found = answer({**GOOD, "app_industry": value})
    assert (SourceErrorKind.SCHEMA, True) == (found.kind, "app_industry" in str(found.message))


@pytest.mark.parametrize("field", GOOD)
def test_a_200_without_a_documented_field_is_a_schema_fault_and_never_unallocated(field):
    body = {name: value for name, value in GOOD.items() if name != field}
    expected = AnswerFault(
        kind=SourceErrorKind.SCHEMA, message=sentence("200 without %(fields)s", fields=field)
    )
    assert expected == answer(body)


def test_an_answer_to_the_other_call_is_a_schema_fault():
    assert SourceErrorKind.SCHEMA is answer(GOOD, kind=EndpointKind.ACCOUNT).kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>Welcome</body></html>",
        b'{"app_balance": 1, "app_voice": 2',
        b'{"app_balance": NaN, "app_voice": 22, "app_industry": 44, "app_market": 14}',
        b'{"app_balance": Infinity, "app_voice": 22, "app_industry": 44, "app_market": 14}',
        b'{"app_balance": 1, "app_balance": 2, "app_voice": 22, "app_industry": 44, "app_market": 14}',
        b"[1, 2, 3, 4]",
        b"null",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"app_balance": ' + b"9" * 5000 + b', "app_voice": 22, "app_industry": 44, "app_market": 14}',
    ],
    ids=lambda body: str(body[:24]),
)
def test_a_body_that_is_not_as_documented_is_a_schema_fault(body):
    assert SourceErrorKind.SCHEMA is answer(body).kind


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 50001, SourceErrorKind.CONFIGURATION),
        (401, 50002, SourceErrorKind.CREDENTIALS),
        (403, 50008, SourceErrorKind.PERMISSION),
        (403, 50009, SourceErrorKind.RATE_LIMITED),
        (403, 50035, SourceErrorKind.PERMISSION),
        (403, 50036, SourceErrorKind.PERMISSION),
        (404, 50016, SourceErrorKind.CONFIGURATION),
        (405, 50018, SourceErrorKind.CONFIGURATION),
        (415, 50017, SourceErrorKind.CONFIGURATION),
        (500, 50019, SourceErrorKind.SERVER),
        (403, 59999, SourceErrorKind.PERMISSION),
        (401, 59999, SourceErrorKind.CREDENTIALS),
        (418, 59999, SourceErrorKind.CONFIGURATION),
        (503, 50033, SourceErrorKind.SERVER),
    ],
)
def test_every_return_code_has_its_kind_and_is_in_the_message(status, code, kind):
    as_number, as_text = failure(status, code), failure(status, str(code))
    assert as_number == as_text
    assert (kind, "words", True) == (
        as_number.kind,
        as_number.quote,
        f"{status}, code {code}" in str(as_number.message),
    )


def test_quota_not_assigned_is_a_reading_and_not_a_fault():
    expected = ParsedBalances(readings=UNALLOCATED_EVERYWHERE, unknown_fields={})
    assert expected == failure(403, 50033)
    assert expected == failure(403, "50033")


def test_quota_not_assigned_is_a_fault_for_a_shared_pool():
    body = {"error": {"code": 50033, "message": "app quota not assigned"}}
    assert SourceErrorKind.PERMISSION is answer(body, 403, EndpointKind.ACCOUNT).kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, SourceErrorKind.SCHEMA),
        (401, SourceErrorKind.CREDENTIALS),
        (403, SourceErrorKind.PERMISSION),
        (407, SourceErrorKind.CONFIGURATION),
        (408, SourceErrorKind.SERVER),
        (429, SourceErrorKind.RATE_LIMITED),
        (500, SourceErrorKind.SERVER),
        (502, SourceErrorKind.SERVER),
        (503, SourceErrorKind.SERVER),
        (504, SourceErrorKind.SERVER),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b'{"error": "x"}', b'{"error": {"code": []}}']
)
def test_an_error_without_a_readable_body_is_classified_by_its_status(status, kind, body):
    assert (kind, "") == (answer(body, status).kind, answer(body, status).quote)


def test_rejected_credentials_name_the_most_likely_mistake():
    assert "most likely the two kinds of key pair are swapped" in str(failure(401, 50002).message)


def test_a_redirect_is_a_configuration_fault_with_the_target_but_without_possible_secrets():
    found = answer(b"", 302, location="https://user:word@elsewhere.example/login?token=1#top")
    expected = (
        "302, a redirect to https://elsewhere.example/login, which is not followed:"
        " it would get the key pair, too; is base_url right?"
    )
    assert (SourceErrorKind.CONFIGURATION, expected) == (found.kind, str(found.message))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", timedelta(seconds=120)),
        (" 0 ", timedelta()),
        ("Mon, 23 Nov 2026 09:02:00 GMT", timedelta(minutes=2)),
        ("Mon, 23 Nov 2026 08:00:00 GMT", timedelta()),
        ("soon", None),
        ("-5", None),
        ("1.5", timedelta(seconds=1.5)),
        ("", None),
        (".", None),
        ("901", MAX_RETRY_AFTER),
        ("86400", MAX_RETRY_AFTER),
        ("9" * 20, MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        (str(int(NOW.timestamp()) + 30), timedelta(seconds=30)),
        (str(int(NOW.timestamp() * 1000) + 30_000), timedelta(seconds=30)),
        (str(int(NOW.timestamp()) - 30), timedelta()),
        ("1795000000000", timedelta()),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("Mon, 01 Jan 0001 00:00:00 +0100", timedelta()),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value, expected):
    assert expected == retry_after({"retry-after": value}, now=NOW)


def test_a_retry_after_date_counts_from_the_servers_own_clock():
    headers = {"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}
    assert timedelta(seconds=30) == retry_after(headers, now=NOW)
