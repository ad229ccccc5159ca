"""Burn and runway of series from outside."""

import json
import math

import numpy as np
import pytest

from balancebot.domain.balance import Absent
from balancebot.domain.runway import UNKNOWN
from balancebot.history.series import answer_line, as_json, estimate_file, estimate_series, zone_fault

START = 1_795_312_800.0  # on a clock hour


def steady(days: float, *, step: int = 300, fall: int = 1) -> tuple[np.ndarray, np.ndarray]:
    count = int(days * 86400 / step) + 1
    return START + np.arange(count) * step, 10_000.0 - fall * np.arange(count)


def request(**changes: object) -> str:
    at, balance = steady(2)
    whole = {"id": "a", "now": float(at[-1]), "ts": at.tolist(), "balance": balance.astype(int).tolist()}
    return json.dumps({key: value for key, value in (whole | changes).items() if value is not ...})


def test_a_steady_series_lasts_as_long_as_division_says() -> None:
    at, balance = steady(7)
    estimate = estimate_series(at, balance, float(at[-1]), "UTC")
    assert estimate.burn_per_day == pytest.approx(288.0, rel=0.02)
    assert estimate.runway is not None
    assert estimate.runway.p50 == pytest.approx(balance[-1] / 12.0, rel=0.03)


@pytest.mark.parametrize("minutes", [55, 60])
def test_an_hour_of_readings_is_needed_and_enough(minutes: int) -> None:
    at, balance = steady(minutes / 1440)
    assert (estimate_series(at, balance, float(at[-1]), "UTC") == UNKNOWN) is (minutes < 60)


def test_a_series_without_use_and_one_that_is_unallocated_now_are_unknown() -> None:
    at, balance = steady(3, fall=0)
    assert UNKNOWN == estimate_series(at, balance, float(at[-1]), "UTC")
    at, balance = steady(3)
    balance[-1] = math.nan
    assert UNKNOWN == estimate_series(at, balance, float(at[-1]), "UTC")


def test_a_top_up_is_not_use() -> None:
    at, balance = steady(7)
    balance[1000:] += 50_000
    estimate = estimate_series(at, balance, float(at[-1]), "UTC")
    assert estimate.burn_per_day == pytest.approx(288.0, rel=0.02)


def test_a_line_is_answered_in_hours() -> None:
    answer = json.loads(answer_line(request(), "UTC"))
    assert ["id", "burn_per_day", "p10", "p50", "p90"] == list(answer)
    assert "a" == answer["id"]
    assert answer["p10"] < answer["p50"] < answer["p90"]


def test_readings_may_come_in_any_order_and_the_later_of_one_instant_stands() -> None:
    ts, balance = [0.0, 3600.0, 7200.0], [100, 90, 70]
    in_order = answer_line(request(ts=ts, balance=balance, now=7200.0), "UTC")
    assert "unknown" not in json.loads(in_order)
    assert in_order == answer_line(
        request(ts=[7200.0, 3600.0, 0.0, 3600.0], balance=[70, 5, 100, 90], now=7200.0), "UTC"
    )


def test_what_is_not_known_or_has_no_end_is_null() -> None:
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
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "a request is a JSON object"),
        (request(now=...), "now is missing"),
        (request(ts=[1.0]), "same length"),
        (request(now="today"), "unix seconds"),
        (request(now=1.0), "later than now"),
        (request(now=math.nan), "unix seconds"),
        (request(ts=[2.0], balance=[-5]), "whole number"),
        (request(ts=[2.0], balance=[True]), "whole number"),
        (request(ts=[2.0], balance=[2**70]), "whole number"),
        (request(ts=[10**400], balance=[1]), "too large"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, said: str) -> None:
    answer = json.loads(answer_line(line, "UTC"))
    assert said in answer.pop("error")
    assert json.loads(answer_line(request(id=answer["id"], ts=[], balance=[]), "UTC")) == answer


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
    estimates, faults = estimate_file(lines, "UTC")
    assert [] == faults
    found = {str(one.balance): one for one in estimates}
    assert ["acme/checkout:industry", "acme/checkout:voice", "acme:industry"] == sorted(found)
    assert UNKNOWN == found["acme:industry"].estimate  # a transfer is no use
    assert found["acme/checkout:industry"].estimate.burn_per_day == pytest.approx(576.0, rel=0.03)
    assert Absent.UNALLOCATED is found["acme/checkout:voice"].reading


def test_a_file_with_a_fault_is_not_estimated() -> None:
    estimates, faults = estimate_file(["observed_at,wallet,category,balance", "now,acme,voice,1"], "UTC")
    assert [] == estimates
    assert [2] == [fault.line for fault in faults]


def test_a_zone_is_known_or_named_in_the_fault() -> None:
    assert zone_fault("Asia/Kolkata") is None
    assert zone_fault("Asia/Atlantis") == "'Asia/Atlantis' is no IANA time zone, such as Asia/Shanghai"
    assert zone_fault("../etc/passwd") is not None
