"""Estimate usage, runway and orders for series from outside: a CSV file, or JSON lines. Nothing is stored.

Booking and estimates are the same as for polled wallets.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from balancebot.domain.balance import MAX_BALANCE, BalanceKey, Reading
from balancebot.domain.runway import UNKNOWN, Estimate
from balancebot.domain.usage import SECONDS_PER_HOUR, book_history
from balancebot.forecast.model import fit
from balancebot.forecast.order_advice import needed_until
from balancebot.forecast.recurring import DatedSend
from balancebot.forecast.series import Series, fit_series, forecast_series, window_of
from balancebot.forecast.use_window import REMEMBERED_HOURS
from balancebot.history.files import HistoryRow, read_history
from balancebot.sheets import InputFault, SheetRow

Floats = NDArray[np.float64]

CONFIDENCE = 0.75
"""For the judged runway, which is computed but not shown here."""
_LAST_INSTANT = 7_258_118_400.0
"""The beginning of the year 2200, in epoch seconds: later instants are refused."""
_ROUNDING = 1.0
"""How many seconds a rounded instant may be later than `now`."""
_MOST_PLANS = 1_000
_LONGEST_ID = 200
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_LINE = 32 * 2**20
"""The limit for one question, in bytes: three times a reading per minute for 13 months."""
_FARTHEST_ORDER = 3 * 365 * 86400.0
"""How many seconds from `now` an order may reach, and a plan may begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEstimate:
    """The estimate of one balance of a file, as of the file's last row."""

    balance: BalanceKey
    reading: Reading
    observed_at: float
    """Epoch seconds of its last reading."""
    estimate: Estimate


def estimate_file(
    sheet: Iterable[SheetRow | InputFault], zone: str
) -> tuple[list[SeriesEstimate], list[InputFault]]:
    """Estimate every balance of a file with the columns of `history export`; `now` is its last instant.

    Faults mean that nothing was estimated. An unallocated balance has no runway.
    """
    rows: list[HistoryRow] = []
    faults: list[InputFault] = []
    for row in read_history(sheet):
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
            series = _fit_hours(booked.get(balance, []), row.at, row.reading, zone)
            estimate = forecast_series(series, now, zone, CONFIDENCE).estimates()[0]
        estimates.append(
            SeriesEstimate(balance=balance, reading=row.reading, observed_at=row.at, estimate=estimate)
        )
    return estimates, []


def answer_line(line: str, zone: str) -> str:
    """Answer one question of `runway --jsonl`, given without its line break; the answer to an invalid one says why."""
    question_id: object = None
    try:
        if len(line) > MAX_LINE:
            raise BadQuestionError(f"a question has at most {MAX_LINE // 2**20} MB")
        if _LONE_SURROGATE.search(line):  # what couldn't be decoded
            raise BadQuestionError("not UTF-8")
        question = json.loads(line, object_pairs_hook=_each_key_once)
        if not isinstance(question, dict):
            raise BadQuestionError("a question is a JSON object")
        question_id = _id(question)
        answer = _answer(_question(question, zone))
    except BadQuestionError as error:
        return json.dumps({"id": question_id, "error": str(error)}, ensure_ascii=False)
    except json.JSONDecodeError as error:
        return json.dumps({"id": None, "error": f"not JSON: {error}"}, ensure_ascii=False)
    except RecursionError:
        return json.dumps({"id": None, "error": "not JSON: nested too deep"})
    except ValueError:  # an integer with more digits than Python reads
        return json.dumps({"id": None, "error": "not JSON: a number is too large"})
    return json.dumps({"id": question_id} | answer, ensure_ascii=False)


def as_json(estimate: Estimate) -> dict[str, float | bool | None]:
    """Return an estimate for `runway --json`: hours, or null beyond 365 days; `unknown` if there is none."""
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


class BadQuestionError(Exception):
    """A question of `runway --jsonl` that can't be answered; the text says why."""


class _Question(NamedTuple):
    at: Floats
    balance: Floats
    now: float
    zone: str
    plans: tuple[DatedSend, ...]
    order_until: float | None
    confidence: float


def _answer(question: _Question) -> dict[str, object]:
    answer: dict[str, object] = {}
    known = len(question.at) > 0 and not math.isnan(question.balance[-1])
    series = fit_series(question.at, question.balance, question.zone, question.plans) if known else None
    estimate = UNKNOWN
    if series is not None:
        estimate = forecast_series(
            series, question.now, question.zone, CONFIDENCE, question.plans
        ).estimates()[0]
    answer |= as_json(estimate)
    if question.order_until is not None:
        answer["order"] = None if series is None else _order(series, question, question.order_until)
    return answer


def _order(series: Series, question: _Question, until: float) -> int | None:
    needed = needed_until(
        series.model,
        observed_at=series.at,
        until=until,
        zone=question.zone,
        confidence=question.confidence,
        plans=question.plans,
        open_use=series.open_use,
        open_exposure=series.open_exposure,
    )
    return None if needed is None else max(0, math.ceil(needed - series.balance))


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise BadQuestionError(f"the key {_shown(key)} is given twice")
        found[key] = value
    return found


def _id(question: dict[str, object]) -> str | float | None:
    """Return the id of a question, which the answer repeats. Raises BadQuestionError if that isn't possible in JSON."""
    value = question.get("id")
    if value is None or (_is_number(value) and len(str(value)) <= _LONGEST_ID):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_ID and not _LONE_SURROGATE.search(value):
        return value
    raise BadQuestionError(f"id must be a text or a number of at most {_LONGEST_ID} characters")


def _question(question: dict[str, object], zone: str) -> _Question:
    """Parse a question. Raises BadQuestionError."""
    now = _instant(question, "now")
    at, balance = _readings(question, now)
    named = question.get("tz", zone)
    fault = zone_fault(named) if isinstance(named, str) else f"tz must be a text, not {_shown(named)}"
    if fault is not None or not isinstance(named, str):
        raise BadQuestionError(f"{fault}")
    until = None if question.get("order_until") is None else _instant(question, "order_until")
    if until is not None and until <= now:
        raise BadQuestionError("order_until must be later than now")
    if until is not None and until > now + _FARTHEST_ORDER:
        raise BadQuestionError("order_until must be within three years from now")
    confidence = question.get("confidence", 0.9)
    if not _is_number(confidence) or not 0.5 <= confidence <= 0.99:
        raise BadQuestionError(f"confidence must be a number from 0.5 to 0.99, not {_shown(confidence)}")
    return _Question(at, balance, now, named, _plans(question.get("plans", []), now), until, confidence)


def _readings(question: dict[str, object], now: float) -> tuple[Floats, Floats]:
    ts, values = (_list(question, key) for key in ("ts", "balance"))
    if len(ts) != len(values):
        raise BadQuestionError(f"ts has {len(ts)} and balance {len(values)} entries: they must be as many")
    for place, value in enumerate(ts):
        if not _is_instant(value):
            raise BadQuestionError(
                f"ts[{place}] must be unix seconds before the year 2200, not {_shown(value)}"
            )
    for place, value in enumerate(values):
        if value is not None and not (
            _is_number(value) and 0 <= value <= MAX_BALANCE and value == int(value)
        ):
            raise BadQuestionError(
                f"balance[{place}] must be a whole number from 0 to 2^63 - 1, or null, not {_shown(value)}"
            )
    at = np.array(ts, np.float64)
    late = np.flatnonzero(np.diff(at) <= 0)
    if late.size:
        place = int(late[0]) + 1
        raise BadQuestionError(
            f"ts[{place}] must be later than ts[{place - 1}]: the readings in order of time, each once"
        )
    if at.size and at[-1] > now + _ROUNDING:
        raise BadQuestionError(f"ts[{len(ts) - 1}] must not be later than now")
    balance = np.array([math.nan if value is None else value for value in values], np.float64)
    recent = at > (at[-1] if at.size else now) - REMEMBERED_HOURS * SECONDS_PER_HOUR
    return at[recent], balance[recent]


def _plans(value: object, now: float) -> tuple[DatedSend, ...]:
    if not isinstance(value, list):
        raise BadQuestionError(f"plans must be a list, not {_shown(value)}")
    if len(value) > _MOST_PLANS:
        raise BadQuestionError(f"plans has {len(value)} entries: at most {_MOST_PLANS} are taken")
    plans = []
    for place, plan in enumerate(value):
        if not isinstance(plan, dict):
            raise BadQuestionError(f"plans[{place}] must be an object with start, end and messages")
        start, end = (_instant(plan, key, f"plans[{place}].") for key in ("start", "end"))
        if end <= start:
            raise BadQuestionError(f"plans[{place}] ends before it begins")
        if start > now + _FARTHEST_ORDER:
            raise BadQuestionError(f"plans[{place}].start must be within three years from now")
        messages = plan.get("messages")
        if not _is_number(messages) or not 0 <= messages <= MAX_BALANCE:
            raise BadQuestionError(
                f"plans[{place}].messages must be a number from 0 to 2^63 - 1, not {_shown(messages)}"
            )
        plans.append(DatedSend(start, end, float(messages)))
    return tuple(plans)


def _instant(question: dict[str, object], key: str, of: str = "") -> float:
    value = question.get(key)
    if value is None:
        raise BadQuestionError(f"{of}{key} is missing")
    if not _is_instant(value):
        raise BadQuestionError(f"{of}{key} must be unix seconds before the year 2200, not {_shown(value)}")
    return float(value)


def _list(question: dict[str, object], key: str) -> list[object]:
    value = question.get(key)
    if value is None:
        raise BadQuestionError(f"{key} is missing")
    if not isinstance(value, list):
        raise BadQuestionError(f"{key} must be a list, not {_shown(value)}")
    return value


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_instant(value: object) -> TypeGuard[int | float]:
    return _is_number(value) and 0 <= value < _LAST_INSTANT


def _shown(value: object) -> str:
    """Return a value as JSON, cut if it is too long for a line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:
        return "a very long number"
    return text if len(text) <= 40 else text[:37] + "..."


def _fit_hours(hours: list[tuple[int, float, float]], at: float, balance: int, zone: str) -> Series:
    """Fit a balance, last read at `at`, from its booked hours: (epoch hour, usage, seconds of exposure)."""
    end = int(at // SECONDS_PER_HOUR)
    first = min((hour for hour, _, _ in hours), default=end)
    use, exposure = np.zeros((2, end - first + 1))
    for hour, used, seconds in hours:
        use[hour - first] += used
        exposure[hour - first] += seconds / SECONDS_PER_HOUR
    window = window_of(use[:-1], exposure[:-1], end)
    return Series(fit([window], zone).models, at, float(balance), float(use[-1]), float(exposure[-1]))


def _by_balance(rows: list[HistoryRow]) -> dict[BalanceKey, list[tuple[int, float, float]]]:
    oldest = rows[-1].at - REMEMBERED_HOURS * SECONDS_PER_HOUR
    hours: dict[BalanceKey, list[tuple[int, float, float]]] = {}
    for hour, booked in book_history(row[:3] for row in rows if row.at >= oldest).items():
        hours.setdefault(hour.balance, []).append((hour.epoch_hour, booked.use, booked.exposure))
    return hours
