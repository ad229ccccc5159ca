"""Burn and runway of series that come from outside: a CSV file, or JSON lines one by one. Keeps no state.

The same booking and the same estimate as for the wallets that are watched.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.balance import MAX_BALANCE, BalanceKey, Reading
from balancebot.domain.runway import UNKNOWN, Estimate
from balancebot.domain.usage import SECONDS_PER_HOUR, book_history
from balancebot.forecast.burn_model import fit
from balancebot.forecast.forecast import forecast
from balancebot.forecast.use_window import WINDOW_HOURS, UseWindow, empty_window, hourly_use
from balancebot.history.files import HistoryFault, HistoryRow, read_history

Floats = NDArray[np.float64]

CONFIDENCE = 0.75
"""Nobody judges here: `judged` is computed as by default, and not shown."""
_MAX_EPOCH = 253_402_300_799.0
"""The end of the year 9999."""
_ROUNDING = 1.0
"""Seconds by which a rounded instant may lie beyond `now`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEstimate:
    """What is believed of one balance of a file, as of the file's last row."""

    balance: BalanceKey
    reading: Reading
    observed_at: float
    """Epoch seconds of its last reading."""
    estimate: Estimate


def estimate_file(lines: Iterable[str], zone: str) -> tuple[list[SeriesEstimate], list[HistoryFault]]:
    """Estimate every balance of a file with the columns of `history export`; `now` is its last instant.

    Faults mean that nothing was estimated. An unallocated balance has no runway.
    """
    rows: list[HistoryRow] = []
    faults: list[HistoryFault] = []
    for row in read_history(lines):
        (rows if isinstance(row, HistoryRow) else faults).append(row)  # type: ignore[arg-type]
    if faults or not rows:
        return [], faults
    rows.sort(key=lambda row: row.at)
    now = rows[-1].at
    last = {row.balance: row for row in rows}
    booked = _by_balance(rows)
    estimates = []
    for balance, row in sorted(last.items()):
        estimate = UNKNOWN
        if isinstance(row.reading, int):
            end = int(row.at // SECONDS_PER_HOUR)
            hours = booked.get(balance, [])
            window = empty_window(end).moved_to(end, hours)
            open_hour = next(
                ((use, seconds / SECONDS_PER_HOUR) for hour, use, seconds in hours if hour == end), (0.0, 0.0)
            )
            estimate = _estimate(window, open_hour, (row.at, float(row.reading)), now, zone)
        estimates.append(
            SeriesEstimate(balance=balance, reading=row.reading, observed_at=row.at, estimate=estimate)
        )
    return estimates, []


def estimate_series(at: Floats, balance: Floats, now: float, zone: str) -> Estimate:
    """Estimate one balance from its readings at `at` (epoch seconds, rising, up to `now`); NaN is unallocated."""
    if not at.size or math.isnan(balance[-1]):
        return UNKNOWN
    first, use, exposure = hourly_use(at, balance, float(at[-1]))
    end = first + len(use) - 1
    seconds = exposure * SECONDS_PER_HOUR
    closed = range(first, end)
    window = empty_window(end).moved_to(end, zip(closed, use[:-1], seconds[:-1], strict=True))
    open_hour = (float(use[-1]), float(exposure[-1]))
    return _estimate(window, open_hour, (float(at[-1]), float(balance[-1])), now, zone)


def answer_line(line: str, zone: str) -> str:
    """Answer one request of `runway --jsonl`, without its line break.

    A request that can't be read is answered as unknown, with the reason as `error`.
    """
    request_id: object = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise TypeError("a request is a JSON object")
        request_id = request.get("id")
        at, balance, now = _series(request)
        answer = as_json(estimate_series(at, balance, now, zone))
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
        refusal = {"id": request_id, **as_json(UNKNOWN), "error": _in_words(error)}
        return json.dumps(refusal, ensure_ascii=False)
    return json.dumps({"id": request_id} | answer, ensure_ascii=False)


def as_json(estimate: Estimate) -> dict[str, float | bool | None]:
    """Return an estimate as `runway --json` shows it: hours, null beyond 365 days, `unknown` where it is."""
    runway = estimate.runway
    if runway is None:
        return {"burn_per_day": estimate.burn_per_day, "p10": None, "p50": None, "p90": None, "unknown": True}
    return {
        "burn_per_day": None if estimate.burn_per_day is None else round(estimate.burn_per_day, 4),
        **{
            name: round(hours, 4) if math.isfinite(hours) else None
            for name, hours in (("p10", runway.p10), ("p50", runway.p50), ("p90", runway.p90))
        },
    }


def zone_fault(zone: str) -> str | None:
    """Return what is wrong with the name of a time zone, or None."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return f"{zone!r} is no IANA time zone, such as Asia/Shanghai"
    return None


def _estimate(
    window: UseWindow, open_hour: tuple[float, float], last: tuple[float, float], now: float, zone: str
) -> Estimate:
    """Estimate from the closed hours, the open hour's (use, exposure in hours), and the last (instant, balance)."""
    return forecast(
        fit([window], zone),
        balances=np.array([last[1]]),
        observed_at=np.array([last[0]]),
        now=now,
        zone=zone,
        confidence=CONFIDENCE,
        open_use=np.array([open_hour[0]]),
        open_exposure=np.array([open_hour[1]]),
    ).estimates()[0]


def _by_balance(rows: list[HistoryRow]) -> dict[BalanceKey, list[tuple[int, float, float]]]:
    oldest = rows[-1].at - (WINDOW_HOURS + 1) * SECONDS_PER_HOUR * 2
    hours: dict[BalanceKey, list[tuple[int, float, float]]] = {}
    for hour, booked in book_history(row[:3] for row in rows if row.at >= oldest).items():
        hours.setdefault(hour.balance, []).append((hour.epoch_hour, booked.use, booked.exposure))
    return hours


def _series(request: dict[str, object]) -> tuple[Floats, Floats, float]:
    """Return instants, balances (NaN = null) and `now`, or raise with what is wrong with them.

    They may come in any order; of two readings of one instant the later in the list stands.
    """
    now, ts, values = request["now"], request["ts"], request["balance"]
    if not isinstance(ts, list) or not isinstance(values, list) or len(ts) != len(values):
        raise TypeError("ts and balance must be lists of the same length")
    if not _is_number(now) or not all(map(_is_number, ts)):
        raise TypeError("now and ts must be unix seconds")
    if not all(
        value is None or (_is_number(value) and 0 <= value <= MAX_BALANCE and value == int(value))
        for value in values
    ):
        raise ValueError("a balance must be a whole number from 0 to 2^63 - 1, or null")
    at = np.array(ts, np.float64)
    moment = float(now)
    if not np.all((at >= 0) & (at <= _MAX_EPOCH)) or not 0 <= moment <= _MAX_EPOCH:
        raise ValueError("now and ts must be unix seconds")
    if at.size and at.max() > moment + _ROUNDING:
        raise ValueError("ts must not be later than now")
    balance = np.array([math.nan if value is None else value for value in values], np.float64)
    order = np.argsort(at, kind="stable")
    stands = order[np.append(np.diff(at[order]) > 0, True)[: at.size]]
    return at[stands], balance[stands], max([moment, *at[stands][-1:].tolist()])


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_words(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"not JSON: {error}"
        case KeyError():
            return f"{error.args[0]} is missing"
        case RecursionError():
            return "not JSON: nested too deep"
        case _:
            return str(error)
