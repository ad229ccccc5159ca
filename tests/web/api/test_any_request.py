"""Any request to a route gets an answer that is described, and never a 5xx."""

import re
from typing import Any
from urllib.parse import quote

from hypothesis import example, given, settings
from hypothesis import strategies as st

from balancebot.web.api.budget import RequestBudget
from balancebot.web.api.route import ApiBudgets, ApiRoute
from balancebot.web.api.routes import ROUTES
from tests.web.api.conftest import Program
from tests.web.conftest import Desk

_TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "acme",
            "acme/shop",
            "*",
            "acme/*:market",
            "voice",
            "industry",
            "off",
            "open",
            "all",
            "raw",
            "day",
        ]
    ),
    st.sampled_from(["1", "0", "-1", "99999999999999999999", "1h", "31d", "true", "5b315d", "critical,ok"]),
    st.sampled_from(["2026-11-25T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]),
    st.text(max_size=20),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _fields(kind: Any) -> list[str]:
    return [] if kind is None else [*kind.__struct_encode_fields__, "unknown"]


@st.composite
def requests(draw: st.DrawFn) -> tuple[ApiRoute, str, dict[str, Any]]:
    """Return a route, a path of it and a request: valid names with any values."""
    route = draw(st.sampled_from(ROUTES))
    part = quote(draw(_TEXTS.filter(lambda text: text not in {"", ".", ".."})), safe="")
    path = re.sub(r"\{\w+\}", part.replace("\\", r"\\"), route.path)
    how: dict[str, Any] = {}
    if names := _fields(route.query):
        how["params"] = draw(st.dictionaries(st.sampled_from(names), _TEXTS, max_size=4))
    if names := _fields(route.body):
        how["json"] = draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=6) | _VALUES)
    if route.request_headers:
        tags = st.sampled_from(["*", '"x"', 'W/"x"', "", '"', ","])
        how["headers"] = draw(st.dictionaries(st.sampled_from(list(route.request_headers)), tags))
    return route, path, how


@settings(max_examples=200)
@given(request_=requests())
@example(request_=(next(route for route in ROUTES if route.path == "/alerts/{id}"), "/alerts/%2F", {}))
def test_any_request_gets_a_described_answer(
    firm: Desk, finance: Program, request_: tuple[ApiRoute, str, dict[str, Any]]
) -> None:
    firm.pages.state.api_budgets = ApiBudgets(requests=RequestBudget(1_000_000))
    route, path, how = request_
    answer = finance.http.request(route.method, f"/api/v1{path}", **how)
    assert answer.status_code < 500, answer.text
    finance.check(route.method, path, answer)
