"""Messages stored in the database are read back unchanged, also by a later version."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.alert import Alert, Cause
from balancebot.domain.balance import Absent
from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    DigestLine,
    DigestMessage,
    GroupMessage,
    Measurement,
    MessageContext,
    TestMessage,
)
from balancebot.domain.runway import Runway
from balancebot.domain.verdict import Crossed
from balancebot.store.types import decode_message, encode_message
from tests.messages import alert_message

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

instants = st.datetimes(timezones=st.just(UTC))
figures = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
hours = figures | st.just(math.inf)
readings = st.integers(0, 2**63 - 1) | st.sampled_from(Absent)
runways = st.builds(Runway, p10=hours, p50=hours, p90=hours, judged=hours)
crossings = st.builds(Crossed, limit=st.none() | figures, value=st.none() | figures)
alerts = st.builds(
    Alert,
    opened_at=instants,
    closed_at=st.none() | instants,
    closed_because=st.none() | st.sampled_from(Cause),
    calm_since=st.none() | instants,
    members=st.lists(st.text()).map(tuple),
)
measurements = st.builds(
    Measurement,
    at=instants,
    reading=readings,
    observed_at=st.none() | instants,
    crossed=st.none() | crossings,
    burn_per_day=st.none() | figures,
    runway=st.none() | runways,
    depletes_at=st.none() | instants,
)
contexts = st.builds(
    MessageContext,
    recent=st.lists(st.none() | st.integers(0, 2**63 - 1)).map(tuple),
    note=st.text(),
    silenced_until=st.none() | instants,
)
alert_messages = st.builds(
    AlertMessage, alert=alerts, measurement=measurements, context=contexts, at=instants
)
lines = st.builds(
    DigestLine,
    reading=readings,
    observed_at=st.none() | instants,
    burn_per_day=st.none() | figures,
    burn_week=st.none() | figures,
    burn_week_before=st.none() | figures,
    runway=st.none() | runways,
    depletes_at=st.none() | instants,
)
any_message = st.one_of(
    alert_messages,
    st.builds(GroupMessage, at=instants, members=st.lists(alert_messages, max_size=3).map(tuple)),
    st.builds(
        DigestMessage,
        at=instants,
        since=st.none() | instants,
        lines=st.lists(lines, max_size=2).map(tuple),
        open_alerts=st.lists(alert_messages, max_size=2).map(tuple),
        recovered=st.just(()),
        silences=st.lists(st.tuples(st.text(), instants, st.text())).map(tuple),
    ),
    st.builds(TestMessage, at=instants),
    st.builds(ChannelFailureMessage, at=instants),
)


@given(any_message)
def test_any_message_is_read_back_unchanged(message: Any) -> None:
    assert message == decode_message(encode_message(message))


def test_fields_missing_in_an_older_version_get_their_defaults() -> None:
    older = json.loads(encode_message(alert_message(NOON)))
    for part, name in (("alert", "flaps"), ("measurement", "detail"), ("context", "note")):
        del older["message"][part][name]
    del older["message"]["reason"]

    assert alert_message(NOON) == decode_message(json.dumps(older))


def test_fields_added_by_a_newer_version_are_ignored() -> None:
    newer = json.loads(encode_message(alert_message(NOON)))
    newer["message"] |= {"mood": "fine"}

    assert alert_message(NOON) == decode_message(json.dumps(newer))


def test_messages_are_stored_as_standard_json() -> None:
    endless = Runway(p10=30.0, p50=math.inf, p90=math.inf, judged=40.5)

    document = json.loads(
        encode_message(alert_message(NOON, runway=endless, reason=None)), parse_constant=pytest.fail
    )

    assert "alert" == document["type"]
    expected = {"p10": 30.0, "p50": None, "p90": None, "judged": 40.5, "sends": 0, "history_hours": None}
    assert expected == document["message"]["measurement"]["runway"]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"type": "os", "message": {}}',
        '{"type": "test", "message": {}}',
        '{"type": "test", "message": {"at": "noon"}}',
    ],
)
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever its words, it must not be taken for a message
        decode_message(text)
