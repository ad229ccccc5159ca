"""Only a token gives access to the API; every refusal is a problem document with a status below 500."""

from datetime import timedelta

import pytest

from balancebot.domain.audit import Act, Via
from balancebot.domain.user import Role
from balancebot.people import tokens
from balancebot.store import audit
from balancebot.web.api.budget import RequestBudget
from balancebot.web.api.route import MAX_BODY, ApiBudgets, ApiRoute
from balancebot.web.api.routes import ROUTES
from tests.web.api.conftest import CLI, Program, token_of
from tests.web.conftest import NOW, Desk

CHANGES = [route for route in ROUTES if route.needs is Role.FINANCE]


def _path(path: str) -> str:
    return path.replace("{id}", "1").replace("{month}", "2026-11")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_requires_a_token(desk: Desk, viewer: Program, route: ApiRoute) -> None:
    with desk.visitor() as stranger:
        for headers in ({}, {"Authorization": "Bearer balancebot_guessed"}, {"Authorization": "Basic eDp5"}):
            answer = stranger.request(route.method, f"/api/v1{_path(route.path)}", headers=headers)
            assert 401 == answer.status_code
            assert 'Bearer realm="balancebot"' == answer.headers["www-authenticate"]
            viewer.check(route.method, _path(route.path), answer)


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: f"{route.method} {route.path}")
def test_a_viewers_token_changes_nothing(viewer: Program, route: ApiRoute) -> None:
    answer = viewer.ask(route.method, _path(route.path), json={})
    assert 403 == answer.status_code
    assert "this one is for viewer" in answer.json()["detail"]


def test_a_session_gives_no_access_to_the_api_and_a_token_none_to_pages(desk: Desk, viewer: Program) -> None:
    with desk.user(Role.ADMIN) as browser:
        assert 401 == browser.get("/api/v1/balances").status_code
    for page in ("/", "/alerts", "/thresholds", "/me"):
        answer = viewer.http.get(page)
        assert (303, True) == (answer.status_code, answer.headers["location"].startswith("/login"))


def test_an_expired_or_removed_token_is_refused(desk: Desk, viewer: Program) -> None:
    tokens.remove_token(desk.app.database, name="viewer program", by=CLI, now=NOW)
    assert 401 == viewer.ask("GET", "/balances").status_code


def test_a_missing_resource_is_a_problem_document(desk: Desk, viewer: Program) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/alerts/x/y", 404),
        ("PATCH", "/balances", 405),
        ("DELETE", "/alerts/1", 405),
    ):
        answer = viewer.ask(method, path)
        assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
        assert status == answer.json()["status"]
    assert {"GET", "HEAD", "PUT", "DELETE"} == set(
        viewer.ask("PATCH", "/thresholds").headers["allow"].split(", ")
    )
    assert 404 == viewer.http.get("/api/v2/balances").status_code


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[" * 30_000, "application/json", 400),
        (b'{"pattern": "\\ud800"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{}", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"pattern": "acme\\u0000", "for": "1h"}', "application/json", 422),
        (b'{"pattern": 7, "for": "1h"}', "application/json", 422),
        (b'{"pattern": "acme", "for": "1h", "colour": "red"}', "application/json", 422),
        (b'{"pattern": "' + b"a" * MAX_BODY + b'"}', "application/json", 413),
    ],
)
def test_an_invalid_body_is_refused(finance: Program, content: bytes, kind: str, status: int) -> None:
    answer = finance.ask("POST", "/silences", content=content, headers={"Content-Type": kind} if kind else {})
    assert status == answer.status_code, answer.text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "`limit`: expected `int` >= 1."),
        ("limit=many", "`limit`: expected `int`, got `str`."),
        ("colour=red", "`colour`: unknown; there are pattern, severity, category, limit, cursor."),
        ("limit=1&limit=2", "`limit`: given twice."),
        ("category=voice,vioce", "`category[1]`: invalid enum value 'vioce'."),
        (
            "severity=ok,critcal",
            "`severity[1]`: expected `str` matching regex '^(?:unknown|ok|warning|critical|depleted)$'.",
        ),
        ("pattern=a%00", "`pattern`: contains a character that can't be stored."),
        ("pattern=acme%3Avioce", "`pattern`: there is no category 'vioce'; did you mean voice?"),
        (
            "cursor=zz",
            "`cursor`: this list didn't give it, or its entry is gone: begin with the first page.",
        ),
    ],
)
def test_an_invalid_query_is_refused_with_its_field(viewer: Program, query: str, message: str) -> None:
    answer = viewer.ask("GET", f"/balances?{query}")
    assert (400, message) == (answer.status_code, answer.json()["detail"])


def test_a_refusal_of_the_guard_is_a_problem_document(finance: Program) -> None:
    answer = finance.ask(
        "POST", "/silences", content=b"{}", headers={"Origin": "https://elsewhere.example.com"}
    )
    assert 403 == answer.status_code


def test_requests_per_token_and_guesses_per_address_are_rate_limited(desk: Desk, viewer: Program) -> None:
    pages = desk.pages.state
    pages.api_budgets = ApiBudgets(requests=RequestBudget(2), failures=RequestBudget(1))
    assert [200, 200, 429] == [viewer.ask("GET", "/alerts").status_code for _ in range(3)]
    refused = viewer.ask("GET", "/alerts")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    pages.api_budgets = ApiBudgets(failures=RequestBudget(1))
    with desk.visitor() as stranger:
        assert [401, 429] == [stranger.get("/api/v1/alerts").status_code for _ in range(2)]
    assert 200 == viewer.ask("GET", "/alerts").status_code


def test_a_rate_limit_recovers_evenly() -> None:
    seconds = 0.0
    budget = RequestBudget(60, clock=lambda: seconds)
    assert [0, 0] == [budget.wait_for("a", 30) for _ in range(2)]
    assert 5 == budget.wait_for("a", 5)
    assert 0 == budget.wait_for("b", 60)
    seconds = 5.0
    assert 0 == budget.wait_for("a", 5)
    assert 5 == budget.wait_for("a", 5)


def test_every_change_is_in_the_audit_log_with_the_name_of_the_token(firm: Desk, finance: Program) -> None:
    finance.ask("POST", "/silences", json={"pattern": "acme/web", "for": "1h", "reason": "move"})
    finance.ask("DELETE", "/silences/1")
    finance.ask("POST", "/alerts/1/acknowledge")
    finance.ask("PUT", "/thresholds", json={"wallet": "acme/web", "category": "*", "warning_below": 5})
    finance.ask("DELETE", "/thresholds?wallet=acme/web&category=*")
    with firm.app.database.read() as conn:
        entries = audit.newest(conn, limit=5)
    assert {("finance program", Via.API)} == {(entry.actor, entry.via) for entry in entries}
    assert [
        Act.REMOVE_THRESHOLD,
        Act.SET_THRESHOLD,
        Act.ACKNOWLEDGE,
        Act.END_SILENCE,
        Act.SILENCE,
    ] == [entry.act for entry in entries]


def test_an_unreachable_database_is_status_503(desk: Desk, viewer: Program) -> None:
    tokens_table_gone = desk.app.database.place
    desk.app.database.dispose()
    with open(tokens_table_gone, "wb") as file:
        file.write(b"no database any more" * 100)
    answer = viewer.ask("GET", "/balances")
    assert (503, "application/problem+json") == (answer.status_code, answer.headers["content-type"])


def test_the_use_of_a_token_is_recorded(desk: Desk, viewer: Program) -> None:
    desk.world.clock.at += timedelta(minutes=10)
    viewer.ask("GET", "/balances")
    (used,) = tokens.list_tokens(desk.app.database)
    assert desk.world.clock.at == used.used_at
    assert token_of(desk, Role.VIEWER, "another")
