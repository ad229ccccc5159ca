"""Any text as a configuration gives settings or a list of faults, never an exception."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from balancebot.config import Settings, UnfitError, load
from balancebot.config.values import cron
from balancebot.domain.digest import MISSED_FOR, latest_slot

FIELD = st.one_of(
    st.text("0123456789*/,-#LW?MONFRISUNjan ", max_size=12),
    st.integers(0, 70).map(str),
    st.tuples(st.integers(0, 70), st.integers(0, 70)).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    st.integers(0, 70).map("*/{}".format),
    st.sampled_from(["*", "MON-FRI", "SUN", "7", "0-7", "L", "MON#2", "5L", "1,2,3", "JAN", "2"]),
)
SCHEDULE = st.lists(FIELD, min_size=5, max_size=5).map(" ".join) | st.text(max_size=40)
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca")
INSTANTS = st.integers(0, 3_800_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@settings(max_examples=100)
@given(written=SCHEDULE, zone=st.sampled_from(ZONES), now=INSTANTS)
def test_any_schedule_has_slots_or_is_refused(written: str, zone: str, now: datetime) -> None:
    try:
        schedule = cron(written)
    except UnfitError:
        return
    slot = latest_slot(schedule, ZoneInfo(zone), now=now)
    assert slot is None or timedelta(0) <= now - slot.at < MISSED_FOR


KEYS = (
    "timezone", "[poll]\nevery", "[[accounts]]\nname", "[[accounts.apps]]\nname", "[web]\nlisten", "[[routes]]\nmatch",
    "[slack]\nbot_token", "[[channels]]\nkind", "[[digests]]\ncron", "[email]\nto", "[database]\nurl", "[quiet]\nhours",
    "[[escalations]]\nafter", "[orders]\nprices", "[web.oidc]\nroles",
)  # fmt: skip
VALUES = (
    "1", "-1", "1.5", "inf", "nan", "true", "[]", "[1]", "{}", "{ a = 1 }", "1979-05-27", "07:32:00", '""', '"env:NOPE"',
    '"file:/"', '"\\u0000"', "[[]]", '["x", 1]', "9" * 400, "0x10",
)  # fmt: skip
LINES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text(max_size=30).map(json.dumps)),
    max_size=4,
)
TOML = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(str.encode),
    LINES.map(lambda lines: "\n".join(f"{key} = {value}" for key, value in lines).encode()),
)


@settings(max_examples=100)
@given(content=TOML)
def test_any_file_gives_settings_or_faults_of_one_line_each(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, "balancebot.toml")
        file.write_bytes(content)
        found = load(file, environ={}, resolve_secrets=True)
    if not isinstance(found, Settings):
        assert found
        assert all(len(str(fault).splitlines()) == 1 for fault in found)
