"""Any sheet of past readings and any question gets an answer or a fault, never an exception."""

import json
from io import BytesIO
from typing import NoReturn

from hypothesis import given, settings
from hypothesis import strategies as st

from balancebot.history.files import COLUMNS, HistoryRow, open_history, read_history
from balancebot.history.series import answer_line
from balancebot.sheets import InputFault

CELL = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "2026-11-22T05:55:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01", "1e400", "-0", "1,5", "1.500",
            "٣", "²", "9" * 400, "acme",
            "acme/checkout", "industry", "行业短信", "=1+1", "'=1", '"', "\\", "off", "NaN", "\ufeff", "_x000D_", "",
        ]
    ),
)  # fmt: skip
ROWS = st.lists(st.lists(CELL, max_size=6), max_size=8)


@settings(max_examples=100)
@given(rows=ROWS, between=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n", "\r"]),
       codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]), header=st.booleans())  # fmt: skip
def test_any_table_gives_readings_or_faults(
    rows: list[list[str]], between: str, end: str, codec: str, header: bool
) -> None:
    lines = [between.join(COLUMNS)] if header else []
    lines += [between.join(cells) for cells in rows]
    content = end.join(lines).encode(codec, "replace")
    for found in read_history(open_history(BytesIO(content))):
        assert isinstance(found, HistoryRow | InputFault)
        assert isinstance(found, HistoryRow) or len(str(found).splitlines()) == 1


@settings(max_examples=100)
@given(content=st.binary(max_size=400))
def test_any_bytes_give_readings_or_faults(content: bytes) -> None:
    for found in read_history(open_history(BytesIO(content))):
        assert isinstance(found, HistoryRow | InputFault)


NUMBER = st.one_of(
    st.integers(-5, 2**63), st.floats(), st.sampled_from([0, 1_795_000_000, 1_795_003_600, 10**400, 7.2e9])
)
VALUE = st.one_of(
    st.none(), st.booleans(), NUMBER, st.text(max_size=8), st.lists(NUMBER | st.none(), max_size=6)
)
PLAN = st.dictionaries(st.sampled_from(["start", "end", "messages", "x"]), VALUE, max_size=4)
QUESTION = st.fixed_dictionaries(
    {},
    optional={
        "id": VALUE,
        "now": VALUE | st.just(1_795_003_600),
        "ts": VALUE | st.just([1_795_000_000 + 300 * i for i in range(5)]),
        "balance": VALUE | st.lists(NUMBER | st.none(), min_size=5, max_size=5),
        "tz": st.text(max_size=8) | st.sampled_from(["UTC", "../etc/passwd", "Asia/Shanghai", "\0"]) | VALUE,
        "plans": st.lists(PLAN, max_size=3) | VALUE,
        "order_until": VALUE,
        "confidence": VALUE,
    },
)


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


@settings(max_examples=100)
@given(line=QUESTION.map(json.dumps) | st.text(max_size=60))
def test_any_question_is_answered_with_one_line_of_json(line: str) -> None:
    answer = answer_line(line, "UTC")
    assert "\n" not in answer
    answer.encode()
    found = json.loads(answer, parse_constant=_refuse)
    assert "error" in found or found["p10"] is None or found["p10"] <= (found["p50"] or found["p10"])
