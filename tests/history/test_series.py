"""Usage and runway of series from outside."""

import json
import math

import numpy as np
import pytest

from balancebot.domain.balance import Absent
from balancebot.domain.runway import UNKNOWN
from balancebot.forecast.series import estimate_series
from balancebot.history.series import MAX_LINE, answer_line, as_json, estimate_file, zone_fault
from tests.history.lines import sheet_of

START = 1_795_312_800.0  # at a full hour


def steady(days: float, *, step: int = 300, fall: int = 1) -> tuple[np.ndarray, np.ndarray]:
    count = int(days * 86400 / step) + 1
    return START + np.arange(count) * step, 10_000.0 - fall * np.arange(count)


def request(**changes: object) -> str:
    at, balance = steady(2)
    defaults = {"id": "a", "now": float(at[-1]), "ts": at.tolist(), "balance": balance.astype(int).tolist()}
    return json.dumps({key: value for key, value in (defaults | changes).items() if value is not ...})


def test_a_steady_series_lasts_for_balance_divided_by_rate() -> None:
    at, balance = steady(7)
    estimate = estimate_series(at, balance, float(at[-1]), "UTC")
    assert estimate.burn_per_day == pytest.approx(288.0, rel=0.02)
    assert estimate.runway is not None
    assert estimate.runway.p50 == pytest.approx(balance[-1] / 12.0, rel=0.03)


@pytest.mark.parametrize("minutes", [55, 60])
def test_an_hour_of_readings_is_needed_and_enough(minutes: int) -> None:
    at, balance = steady(minutes / 1440)
    assert (estimate_series(at, balance, float(at[-1]), "UTC") == UNKNOWN) is (minutes < 60)


def test_a_series_without_usage_or_unallocated_now_has_an_unknown_runway() -> None:
    at, balance = steady(3, fall=0)
    assert UNKNOWN == estimate_series(at, balance, float(at[-1]), "UTC")
    at, balance = steady(3)
    balance[-1] = math.nan
    assert UNKNOWN == estimate_series(at, balance, float(at[-1]), "UTC")


def test_a_top_up_is_not_usage() -> None:
    at, balance = steady(7)
    balance[1000:] += 50_000
    estimate = estimate_series(at, balance, float(at[-1]), "UTC")
    assert estimate.burn_per_day == pytest.approx(288.0, rel=0.02)


def test_a_runway_is_answered_in_hours() -> None:
    answer = json.loads(answer_line(request(), "UTC"))
    assert ["id", "burn_per_day", "p10", "p50", "p90"] == list(answer)
    assert "a" == answer["id"]
    assert answer["p10"] < answer["p50"] < answer["p90"]


def test_an_order_is_advised_if_requested() -> None:
    at, balance = steady(10)
    ts, left = at.tolist(), balance.astype(int).tolist()
    day = 86_400.0
    asked = json.loads(
        answer_line(request(ts=ts, balance=left, now=ts[-1], order_until=ts[-1] + 60 * day), "UTC")
    )
    lacking = 60 * 288 - left[-1]
    assert lacking <= asked["order"] <= 2 * lacking
    assert "order" not in json.loads(answer_line(request(), "UTC"))


def test_no_order_is_advised_before_three_days_of_history() -> None:
    at, _ = steady(2)
    assert json.loads(answer_line(request(order_until=float(at[-1]) + 1e6), "UTC"))["order"] is None


def test_the_time_zone_of_a_line_overrides_that_of_the_command() -> None:
    assert answer_line(request(tz="Asia/Shanghai"), "UTC") == answer_line(request(), "Asia/Shanghai")


def test_a_planned_send_shortens_the_runway_and_a_past_one_is_not_usage() -> None:
    at, balance = steady(10)
    now = float(at[-1])
    plan = {"start": now + 3600, "end": now + 7200, "messages": 2000}
    plain = json.loads(answer_line(request(ts=at.tolist(), balance=balance.tolist(), now=now), "UTC"))
    ahead = json.loads(
        answer_line(request(ts=at.tolist(), balance=balance.tolist(), now=now, plans=[plan]), "UTC")
    )
    assert plain["p50"] - ahead["p50"] == pytest.approx(2000 / 12.0, rel=0.05)
    balance[at > now - 36_000] -= 2000
    past = {"start": now - 38_000, "end": now - 34_000, "messages": 2000}
    after = json.loads(
        answer_line(request(ts=at.tolist(), balance=balance.tolist(), now=now, plans=[past]), "UTC")
    )
    assert after["p50"] == pytest.approx(plain["p50"] - 2000 / 12.0, rel=0.05)


def test_unknown_and_infinite_values_are_null() -> None:
    unknown = json.loads(answer_line(request(ts=[], balance=[]), "UTC"))
    assert {
        "id": "a",
        "burn_per_day": None,
        "p10": None,
        "p50": None,
        "p90": None,
        "unknown": True,
    } == unknown
    at, balance = steady(2)
    endless = as_json(estimate_series(at, balance + 1e9, float(at[-1]), "UTC"))
    assert (None, None) == (endless["p50"], endless["p90"])
    assert "unknown" not in endless


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"now": 1' + "0" * 5000 + "}", "not JSON"),
        ("[]", "a question is a JSON object"),
        (request(now=...), "now is missing"),
        (request(ts=None), "ts is missing"),
        (request(ts=[1.0]), "as many"),
        (request(ts={}), "ts must be a list"),
        (request(now="today"), "unix seconds"),
        (request(now=1.0), "later than now"),
        (request(now=math.nan), "unix seconds"),
        (request(now=1e18), "before the year 2200"),
        (request(ts=[2.0], balance=[-5]), "balance[0] must be a whole number"),
        (request(ts=[2.0], balance=[1.5]), "whole number"),
        (request(ts=[2.0], balance=[True]), "whole number"),
        (request(ts=[2.0], balance=[2**70]), "whole number"),
        (request(ts=[None], balance=[1]), "ts[0] must be unix seconds"),
        (request(ts=[10**400], balance=[1]), "unix seconds"),
        (request(ts=[2.0, 2.0], balance=[2, 1]), "ts[1] must be later than ts[0]"),
        (request(ts=[3.0, 2.0], balance=[2, 1]), "ts[1] must be later than ts[0]"),
        (request(tz="Asia/Atlantis"), "no IANA time zone"),
        (request(tz=8), "tz must be a text"),
        (request(order_until=1.0), "later than now"),
        (request(order_until=7e9), "within three years"),
        (request(confidence=1.5), "confidence"),
        ('{"id": NaN, "now": 1}', "id must be a text"),
        ('{"id": 1, "id": 2, "now": 1, "ts": [], "balance": []}', 'the key "id" is given twice'),
        (request(plans=[{"start": -62135596800, "end": 1, "messages": 1}]), "plans[0].start"),
        (request(now=253402300799), "before the year 2200"),
        (request(id="x" * 201), "id must be a text"),
        (request(id={"a": 1}), "id must be a text"),
        ('{"id": "\\ud800", "now": 1}', "id must be a text"),
        (" " * (MAX_LINE + 1), "at most 32 MB"),
        (request(confidence="high"), "confidence"),
        (request(plans={}), "plans must be a list"),
        (request(plans=[3]), "plans[0] must be an object"),
        (request(plans=[{"start": 5, "end": 4, "messages": 1}]), "plans[0] ends before it begins"),
        (request(plans=[{"start": 5, "end": 6, "messages": -1}]), "plans[0].messages"),
        (request(plans=[{"start": 5, "messages": 1}]), "plans[0].end is missing"),
        (request(plans=[{"start": 7e9, "end": 7.1e9, "messages": 1}]), "within three years"),
        (b'{"id": "\xff"}'.decode(errors="surrogateescape"), "not UTF-8"),
    ],
)
def test_an_invalid_line_gets_an_error_with_the_reason(line: str, message: str) -> None:
    answer = json.loads(answer_line(line, "UTC"))
    assert ["id", "error"] == list(answer)
    assert message in answer["error"]


def test_unusual_but_valid_lines_are_answered() -> None:
    for changes in (
        {"ts": [0.0, 7.2e9], "balance": [5, 4], "now": 7.2e9},
        {"ts": [1.0], "balance": [None], "now": 5.0},
        {"ts": [1.0, 2.0, 3.0], "balance": [2**62, 0, 2**62], "now": 4.0},
        {"ts": [0.0, 1e9, 1e9 + 1], "balance": [9, 8, 7], "now": 6e9, "order_until": 6.05e9},
        {"plans": [{"start": 0, "end": 7e9, "messages": 10**18}]},
    ):
        assert "error" not in json.loads(answer_line(request(**changes), "UTC"))


def test_a_file_is_estimated_per_balance_as_of_its_last_row() -> None:
    lines = ["observed_at,wallet,category,balance"]
    for i in range(12 * 30):
        at = f"2026-11-{20 + i // 288:02d}T{i // 12 % 24:02d}:{i % 12 * 5:02d}:00Z"
        moved = 5000 if i >= 100 else 0
        lines += [
            f"{at},acme,industry,{90_000 - moved}",
            f"{at},acme/checkout,industry,{1000 - 2 * i + moved}",
        ]
        lines += [f"{at},acme/checkout,voice,"]
    estimates, faults = estimate_file(sheet_of(lines), "UTC")
    assert [] == faults
    found = {str(estimate.balance): estimate for estimate in estimates}
    assert ["acme/checkout:industry", "acme/checkout:voice", "acme:industry"] == sorted(found)
    assert UNKNOWN == found["acme:industry"].estimate  # a transfer is not usage
    assert found["acme/checkout:industry"].estimate.burn_per_day == pytest.approx(576.0, rel=0.03)
    assert Absent.UNALLOCATED is found["acme/checkout:voice"].reading


def test_a_file_with_a_fault_is_not_estimated() -> None:
    estimates, faults = estimate_file(
        sheet_of(["observed_at,wallet,category,balance", "now,acme,voice,1"]), "UTC"
    )
    assert [] == estimates
    assert [2] == [fault.line for fault in faults]


def test_an_unknown_time_zone_is_named_in_the_fault() -> None:
    assert zone_fault("Asia/Kolkata") is None
    assert zone_fault("Asia/Atlantis") == "'Asia/Atlantis' is no IANA time zone, such as Asia/Shanghai"
    assert zone_fault("../etc/passwd") is not None
