"""Facts survive the database: what was decided is told word for word, tomorrow and by a later version."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancebot.domain.alert import AlertKind, Reason
from balancebot.domain.balance import Absent, WalletName
from balancebot.domain.message import (
    AlertFacts,
    ChannelFailureFacts,
    DigestFacts,
    DigestLine,
    GroupFacts,
    TestFacts,
)
from balancebot.domain.runway import Runway
from balancebot.domain.verdict import Crossed, Severity
from balancebot.store.message_codec import decode_facts, encode_facts

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

instants = st.datetimes(timezones=st.just(UTC))
figures = st.floats(min_value=0, allow_nan=False)
readings = st.integers(0, 2**63 - 1) | st.sampled_from(Absent)
runways = st.builds(Runway, p10=figures, p50=figures, p90=figures, judged=figures)
crossings = st.builds(Crossed, limit=st.none() | figures, value=st.none() | figures)
alert_facts = st.builds(
    AlertFacts,
    at=instants,
    opened_at=instants,
    reading=readings,
    observed_at=st.none() | instants,
    crossed=st.none() | crossings,
    burn_per_day=st.none() | figures,
    runway=st.none() | runways,
    depletes_at=st.none() | instants,
    recent=st.lists(st.none() | st.integers(0)).map(tuple),
    members=st.lists(st.text()).map(tuple),
    closed_at=st.none() | instants,
    silenced_until=st.none() | instants,
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
any_facts = st.one_of(
    alert_facts,
    st.builds(GroupFacts, at=instants, members=st.lists(alert_facts, max_size=3).map(tuple)),
    st.builds(
        DigestFacts,
        at=instants,
        since=st.none() | instants,
        lines=st.lists(lines, max_size=2).map(tuple),
        open_alerts=st.lists(alert_facts, max_size=2).map(tuple),
        recovered=st.just(()),
        silences=st.lists(st.tuples(st.text(), instants, st.text())).map(tuple),
    ),
    st.builds(TestFacts, at=instants),
    st.builds(ChannelFailureFacts, at=instants),
)


@given(any_facts)
def test_whatever_was_decided_is_read_back_as_it_was(facts: Any) -> None:
    assert facts == decode_facts(encode_facts(facts))


def _opened(**changes: Any) -> AlertFacts:
    return AlertFacts(
        **{
            "alert_id": "17",
            "kind": AlertKind.LOW_BALANCE,
            "wallet": WalletName("acme"),
            "category": None,
            "severity": Severity.CRITICAL,
            "reason": Reason.OPENED,
            "at": NOON,
            "opened_at": NOON,
        }
        | changes
    )


def test_what_an_older_version_wrote_takes_the_defaults_of_what_it_did_not_know() -> None:
    older = json.loads(encode_facts(_opened()))
    kept = {"type", "alert_id", "kind", "wallet", "category", "severity", "reason", "at", "opened_at"}

    assert _opened() == decode_facts(json.dumps({name: older[name] for name in kept}))


def test_what_a_newer_version_added_is_left_aside() -> None:
    newer = json.loads(encode_facts(_opened())) | {"mood": "fine"}

    assert _opened() == decode_facts(json.dumps(newer))


def test_the_text_is_json_that_any_reader_takes() -> None:
    endless = Runway(p10=30.0, p50=math.inf, p90=math.inf, judged=40.5)

    document = json.loads(encode_facts(_opened(runway=endless)), parse_constant=pytest.fail)

    assert {"p10": 30.0, "p50": "inf", "p90": "inf", "judged": 40.5} == document["runway"]
    assert "critical" == document["severity"]


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"type": "Os"}', '{"type": "TestFacts"}', '{"type": "TestFacts", "at": "noon"}']
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever its words, it must not be taken for facts
        decode_facts(text)
