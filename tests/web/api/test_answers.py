"""Answers of the API: they agree with the commands, have pages, and show changes."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import MAX_NAME, MAX_WALLET
from balancebot.store import alerts as stored_alerts
from balancebot.store.types import MAX_ID, parse_id
from tests.web.api.conftest import Program
from tests.web.conftest import Desk
from tests.world import SHOP, WEB, industry

HOUR = timedelta(hours=1)


def _all(program: Program, path: str, key: str, **query: Any) -> list[Any]:
    """Return a list, read page by page."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(50):
        page = program.get(path, **query, **cursor)
        assert len(page[key]) <= int(query.get("limit", 1000))
        found += page[key]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the list has no end")


def test_balances_equal_those_of_status_and_are_returned_in_pages(firm: Desk, viewer: Program) -> None:
    answer = viewer.get("/balances")
    assert 12 == len(answer["balances"])
    assert answer["balances"] == _all(viewer, "/balances", "balances", limit=5)
    (shop,) = viewer.get("/balances", pattern="acme/shop:industry")["balances"]
    assert ("known", 300, "critical", "1") == tuple(
        shop[name] for name in ("state", "balance", "severity", "alert")
    )
    assert ["acme/shop"] == [
        balance["wallet"] for balance in viewer.get("/balances", severity="critical,depleted")["balances"]
    ]
    assert {"industry", "voice"} == {
        balance["category"] for balance in viewer.get("/balances", category="industry,voice")["balances"]
    }


def test_alerts_are_filtered_by_state_returned_in_pages_and_acknowledged_if_open(
    firm: Desk, finance: Program
) -> None:
    world = firm.world
    world.limit("acme/*", "industry", warning_below=60_000)
    world.poll()
    (web, shop) = finance.get("/alerts")["alerts"]
    assert ("acme/web", "acme/shop") == (web["wallet"], shop["wallet"])
    assert "closed_at" not in shop
    assert "300 messages, below the critical limit of 500 (set for acme/shop:industry)" == shop["reason"]
    assert [web, shop] == _all(finance, "/alerts", "alerts", limit=1)
    answer = finance.ask(
        "POST",
        f"/alerts/{shop['id']}/acknowledge",
        json={"note": "ordered", "expected_top_up_at": "2026-11-26T09:00:00+08:00"},
    ).json()
    assert ("finance program", "2026-11-26T01:00:00Z") == (
        answer["acknowledged_by"],
        answer["expected_top_up_at"],
    )
    world.shows(industry(90_000), wallet=SHOP)
    world.clock.at += HOUR
    world.poll()
    assert 409 == finance.ask("POST", f"/alerts/{shop['id']}/acknowledge").status_code
    assert [shop["id"]] == [alert["id"] for alert in finance.get("/alerts", state="closed")["alerts"]]
    assert 2 == len(finance.get("/alerts", state="all", wallet="acme/shop")["alerts"]) + 1
    assert "rose" == finance.get(f"/alerts/{shop['id']}")["closed_because"]
    for number in ("99", "x", "99999999999999999999"):
        assert 404 == finance.ask("POST", f"/alerts/{number}/acknowledge").status_code


@pytest.mark.parametrize("body", [{"expected_top_up_at": "2026-11-20T00:00:00Z"}, {"note": "x" * 501}])
def test_an_acknowledgement_is_checked(firm: Desk, finance: Program, body: dict[str, str]) -> None:
    assert 422 == finance.ask("POST", "/alerts/1/acknowledge", json=body).status_code
    with firm.app.database.read() as conn:
        assert stored_alerts.all_open(conn)[0].alert.acknowledged_at is None


def test_a_silence_is_created_shown_and_ended(firm: Desk, finance: Program) -> None:
    created = finance.ask(
        "POST", "/silences", json={"pattern": "acme/*:market", "for": "4h", "reason": "move"}
    )
    assert (201, "/api/v1/silences/1") == (created.status_code, created.headers["location"])
    assert created.json() == finance.get("/silences/1")
    assert [created.json()] == finance.get("/silences")["silences"]
    until = finance.ask("POST", "/silences", json={"pattern": "*", "until": "2026-11-25T00:00:00Z"}).json()
    assert "2026-11-25T00:00:00Z" == until["until"]
    assert 204 == finance.ask("DELETE", "/silences/1").status_code
    assert 409 == finance.ask("DELETE", "/silences/1").status_code
    assert 404 == finance.ask("DELETE", "/silences/9").status_code
    assert ["2"] == [silence["id"] for silence in finance.get("/silences")["silences"]]
    assert ["2", "1"] == [
        silence["id"] for silence in _all(finance, "/silences", "silences", all="true", limit=1)
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"pattern": "acme"},
        {"pattern": "acme", "for": "1h", "until": "2026-11-25T00:00:00Z"},
        {"pattern": "acme", "for": "0s"},
        {"pattern": "acme", "for": "31d"},
        {"pattern": "acme", "for": "soon"},
        {"pattern": "acme", "until": "2026-11-23T00:00:00Z"},
        {"pattern": "acme", "until": "2026-11-25T00:00:00"},
        {"pattern": "acme", "until": "0001-01-01T00:00:00+14:00"},
        {"pattern": "acme:vioce", "for": "1h"},
        {"pattern": "acme!", "for": "1h"},
    ],
)
def test_an_invalid_silence_is_refused(finance: Program, body: dict[str, str]) -> None:
    assert 422 == finance.ask("POST", "/silences", json=body).status_code


def test_a_row_is_replaced_only_with_the_etag_of_its_current_version(firm: Desk, finance: Program) -> None:
    scope = {"wallet": "acme/web", "category": "voice"}
    nothing = finance.ask("GET", "/thresholds", params=scope)
    assert [] == nothing.json()["thresholds"]
    first = finance.ask(
        "PUT",
        "/thresholds",
        params=scope,
        json={"warning_below": 500, "critical_days": 1.5, "warning_days": "off", "note": "call sales"},
        headers={"If-None-Match": "*"},
    )
    assert 200 == first.status_code, first.text
    row = first.json()
    assert (500, None, "off", 1.5, "call sales", "finance program", []) == tuple(
        row[name]
        for name in (
            "warning_below",
            "critical_below",
            "warning_days",
            "critical_days",
            "note",
            "updated_by",
            "warnings",
        )
    )
    current = finance.ask("GET", "/thresholds", params=scope)
    assert first.headers["etag"] == current.headers["etag"] != nothing.headers["etag"]
    changed = current.json()["thresholds"][0] | {"warning_below": 700}
    assert (
        200
        == finance.ask(
            "PUT", "/thresholds", json=changed, headers={"If-Match": current.headers["etag"]}
        ).status_code
    )
    for headers in (
        {"If-Match": current.headers["etag"]},
        {"If-None-Match": "*"},
        {"If-Match": '"x", W/"y"'},
    ):
        for method in ("PUT", "DELETE"):
            answer = finance.ask(
                method,
                "/thresholds",
                params=scope,
                headers=headers,
                **({"json": row} if method == "PUT" else {}),
            )
            assert 412 == answer.status_code
    assert 700 == finance.get("/thresholds", **scope)["thresholds"][0]["warning_below"]
    assert 204 == finance.ask("DELETE", "/thresholds", params=scope, headers={"If-Match": "*"}).status_code
    assert 404 == finance.ask("DELETE", "/thresholds", params=scope).status_code
    assert 412 == finance.ask("PUT", "/thresholds", json=row, headers={"If-Match": "*"}).status_code


def test_rows_are_listed_in_pages(firm: Desk, finance: Program) -> None:
    for wallet in ("acme", "acme/*", "acme/web"):
        finance.ask("PUT", "/thresholds", json={"wallet": wallet, "category": "*", "warning_days": 9})
    rows = finance.get("/thresholds")["thresholds"]
    assert ["acme", "acme/*", "acme/shop", "acme/web"] == [row["wallet"] for row in rows]
    assert rows == _all(finance, "/thresholds", "thresholds", limit=1)
    assert [rows[1]] == finance.get("/thresholds", wallet="acme/*")["thresholds"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"wallet": "acme/shpo"}, "wallet"),
        ({"wallet": "acme/shop:voice"}, "wallet"),
        ({"category": "vioce"}, "category"),
        ({"warning_below": -1}, "warning_below"),
        ({"warning_below": 1.5}, "warning_below"),
        ({"warning_below": "none"}, "warning_below"),
        ({"warning_days": 0}, "warning_days"),
        ({"warning_days": 1e-9}, "warning_days"),
        ({"critical_below": 2000}, "critical_below"),
        ({"note": b"bell \\u0007".decode("unicode_escape")}, "note"),
        ({"warning": 5}, "warning"),
    ],
)
def test_an_invalid_row_is_refused_with_its_column(
    firm: Desk, finance: Program, change: dict[str, object], field: str
) -> None:
    row = {"wallet": "acme/shop", "category": "voice", "warning_below": 1000, **change}
    for method, path in (("PUT", "/thresholds"), ("POST", "/thresholds/preview")):
        answer = finance.ask(method, path, json=row)
        assert 422 == answer.status_code
        assert [field] == [error["field"] for error in answer.json()["errors"]]
    assert 1 == len(finance.get("/thresholds")["thresholds"])


def test_a_scope_in_the_query_and_the_body_must_be_the_same(firm: Desk, finance: Program) -> None:
    row = {"wallet": "acme/web", "category": "voice", "warning_below": 5}
    assert 422 == finance.ask("PUT", "/thresholds?wallet=acme", json=row).status_code
    assert 422 == finance.ask("PUT", "/thresholds", json={"warning_below": 5}).status_code
    assert 422 == finance.ask("DELETE", "/thresholds?wallet=acme").status_code
    assert 422 == finance.ask("PUT", "/thresholds", json={"wallet": "acme", "category": "voice"}).status_code


def test_a_preview_shows_what_a_row_would_open_and_changes_nothing(firm: Desk, viewer: Program) -> None:
    row = {"wallet": "acme/web", "category": "industry", "critical_below": 60_000}
    preview = viewer.ask("POST", "/thresholds/preview", json=row).json()
    assert [
        {"wallet": "acme/web", "category": "industry", "effect": "opens", "before": "ok", "after": "critical"}
    ] == preview["now"]
    assert 1 == preview["balances_changed"]
    assert 1 == len(viewer.get("/thresholds")["thresholds"])


def test_an_order_is_recorded_and_listed(firm: Desk, finance: Program) -> None:
    body = {
        "wallet": "acme/shop",
        "category": "industry",
        "quantity": 60_000,
        "expected": "2026-12-01",
        "price": 2700.5,
        "ref": "PO-17",
        "note": "call sales",
    }
    created = finance.ask("POST", "/orders", json=body)
    assert 201 == created.status_code, created.text
    order = created.json()
    assert ("open", 60_000, 0, "finance program", 2700.5, "PO-17") == tuple(
        order[name] for name in ("state", "ordered", "arrived", "ordered_by", "price", "reference")
    )
    finance.ask("POST", "/orders", json=body | {"expected": "2026-12-02T09:00:00Z", "price": None})
    assert 2 == len(_all(finance, "/orders", "orders", limit=1))
    assert [order] == finance.get("/orders", state="open,overdue")["orders"][1:]
    assert [] == finance.get("/orders", state="cancelled")["orders"]


@pytest.mark.parametrize(
    "change",
    [
        {"wallet": "acme/shpo"},
        {"quantity": 0},
        {"quantity": 1.5},
        {"expected": "soon"},
        {"expected": "0001-01-01"},
        {"price": -1},
        {"category": "*"},
        {"ref": "x" * 501},
        {"note": "bell \u0007"},
    ],
)
def test_an_invalid_order_is_refused(firm: Desk, finance: Program, change: dict[str, object]) -> None:
    body = {"wallet": "acme/shop", "category": "industry", "quantity": 5, "expected": "2026-12-01"}
    assert 422 == finance.ask("POST", "/orders", json=body | change).status_code
    assert [] == finance.get("/orders")["orders"]


def test_a_statement_equals_that_of_the_command(firm: Desk, viewer: Program) -> None:
    firm.world.reads(280, 250, 5000)
    statement = viewer.get("/statements/2026-11")
    assert ("2026-11", "Asia/Shanghai", "wallet") == (
        statement["month"],
        statement["timezone"],
        statement["by"],
    )
    for row in statement["rows"]:
        assert None in {row["opening"], row["closing"]} or row["closing"] == (
            row["opening"]
            + row["bought"]
            + row["moved_in"]
            - row["moved_out"]
            + row["refunded"]
            - row["used"]
            + row["unexplained"]
        )
    assert "day" in viewer.get("/statements/2026-11", by="day", account="acme")["rows"][0]
    for path in ("/statements/2026-13", "/statements/november", "/statements/2026-11?account=nobody"):
        assert 404 == viewer.ask("GET", path).status_code


def test_history_is_returned_by_reading_hour_and_day(firm: Desk, viewer: Program) -> None:
    world = firm.world
    world.reads(280, 250, 250, 230)
    (first, *others) = raw = viewer.get("/history", wallet="acme/shop", step="raw")["history"]
    assert {"at", "category", "state", "balance"} == first.keys()
    assert [280, 250, 250, 230] == [entry["balance"] for entry in raw if entry["category"] == "industry"]
    assert {"unallocated"} == {entry["state"] for entry in others if entry["category"] != "industry"}
    hours = viewer.get("/history", wallet="acme/shop", category="industry")["history"]
    assert ["2026-11-24T09:00:00Z", 250, 50] == [hours[0][name] for name in ("at", "balance", "used")]
    (day,) = viewer.get("/history", wallet="acme/shop", category="industry", step="day")["history"]
    assert ["2026-11-24T00:00:00Z", 230, 70, 0] == [
        day[name] for name in ("at", "balance", "used", "topped_up")
    ]
    for step in ("raw", "hour"):
        assert viewer.get("/history", wallet="acme/shop", step=step)["history"] == _all(
            viewer, "/history", "history", wallet="acme/shop", step=step, limit=5
        )
    part = viewer.get(
        "/history",
        wallet="acme/shop",
        category="industry",
        step="raw",
        **{"from": "2026-11-24T17:30:00+08:00", "to": "2026-11-24T10:00:00Z"},
    )
    assert [250] == [entry["balance"] for entry in part["history"]]


def test_wrong_readings_are_returned_with_the_history(firm: Desk, viewer: Program) -> None:
    firm.world.reads(280, 2_800, 270)
    for step in ("raw", "hour", "day"):
        (wrong,) = viewer.get("/history", wallet="acme/shop", step=step)["wrong_readings"]
        assert ["industry", 2_800, 280] == [wrong[name] for name in ("category", "reading", "instead")]
    other = viewer.get("/history", wallet="acme/shop", category="voice")
    assert [] == other["wrong_readings"]
    (remark,) = viewer.get("/statements/2026-11")["wrong_readings"]
    assert ["shop", 2_800] == [remark[name] for name in ("app", "reading")]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"wallet": "acme/shpo"}, 404),
        ({}, 400),
        ({"wallet": "acme/shop", "step": "week"}, 400),
        ({"wallet": "acme/shop", "from": "yesterday"}, 400),
        ({"wallet": "acme/shop", "to": "null"}, 400),
        ({"wallet": "acme/shop", "from": "2026-11-24"}, 400),
        ({"wallet": "acme/shop", "from": "2026-11-25T00:00:00Z", "to": "2026-11-24T00:00:00Z"}, 422),
        ({"wallet": "acme/shop", "from": "0001-01-01T00:00:00+14:00"}, 422),
        ({"wallet": "acme/shop", "cursor": "5b395d"}, 400),
    ],
)
def test_an_invalid_range_of_history_is_refused(
    firm: Desk, viewer: Program, query: dict[str, str], status: int
) -> None:
    assert status == viewer.ask("GET", "/history", params=query).status_code


def test_the_cursor_of_a_removed_wallet_is_refused(firm: Desk, viewer: Program) -> None:
    cursor = viewer.get("/balances", limit=1, pattern="acme/shop")["next_cursor"]
    firm.world.configure(WEB)
    firm.world.clock.at += HOUR
    firm.world.poll()
    assert 400 == viewer.ask("GET", "/balances", params={"cursor": cursor}).status_code


def test_the_description_is_a_valid_openapi_document_with_every_route(viewer: Program) -> None:
    described = viewer.description
    assert "3.1.0" == described["openapi"]
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(described)
    for name in set(json.loads(text)["components"]["schemas"]):
        assert f"#/components/schemas/{name}" in text, f"{name} isn't used"
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    assert WalletName("acme")


def _bound(description: dict[str, Any], body: str, field: str) -> int:
    """Return the maximum length of a field of a body."""
    found: int = description["components"]["schemas"][body]["properties"][field]["maxLength"]
    return found


@pytest.mark.parametrize(
    ("path", "body", "field", "begin"),
    [
        ("/silences", "SilenceBody", "pattern", f"{'*' * MAX_WALLET}:*"),
        ("/silences", "SilenceBody", "reason", ""),
        ("/orders", "OrderBody", "ref", ""),
        ("/orders", "OrderBody", "note", ""),
        ("/thresholds/preview", "ThresholdBody", "wallet", "*"),
        ("/thresholds/preview", "ThresholdBody", "note", ""),
    ],
)
def test_a_text_may_have_the_described_maximum_length_and_no_more(
    firm: Desk, finance: Program, path: str, body: str, field: str, begin: str
) -> None:
    most = _bound(finance.description, body, field)
    request = {
        "SilenceBody": {"pattern": "acme", "for": "1h"},
        "OrderBody": {"wallet": "acme", "category": "voice", "quantity": 1, "expected": "2026-12-01"},
        "ThresholdBody": {"wallet": "acme", "category": "voice", "warning_below": 5},
    }[body]
    text = begin.ljust(most, "*" if begin else "x")
    assert finance.ask("POST", path, json=request | {field: text}).is_success
    refused = finance.ask("POST", path, json=request | {field: text + text[-1]})
    assert 422 == refused.status_code
    assert field == refused.json()["errors"][0]["field"]


def test_the_categories_of_a_scope_are_the_four_and_all(firm: Desk, finance: Program) -> None:
    schema = finance.description["components"]["schemas"]["ThresholdBody"]["properties"]["category"]
    assert [*Category, "*"] == schema["enum"]
    for category in schema["enum"]:
        row = {"wallet": "acme/web", "category": category, "warning_below": 5}
        assert category == finance.ask("PUT", "/thresholds", json=row).json()["category"]
        (listed,) = finance.get("/thresholds", wallet="acme/web", category=category)["thresholds"]
        assert category == listed["category"]
    for query in ({"category": "vioce"}, {"wallet": "acme:voice"}):
        assert 422 == finance.ask("GET", "/thresholds", params=query).status_code


def test_an_id_and_a_month_have_the_described_form(finance: Program) -> None:
    paths = finance.description["paths"]
    (number,) = paths["/alerts/{id}"]["get"]["parameters"]
    assert parse_id(str(MAX_ID)) is not None
    assert re.fullmatch(number["schema"]["pattern"], str(MAX_ID))
    assert None is re.fullmatch(number["schema"]["pattern"], f"{MAX_ID}0")
    month = paths["/statements/{month}"]["get"]["parameters"][0]["schema"]["pattern"]
    assert ["2026-11", None] == [
        found and found[0] for found in (re.fullmatch(month, text) for text in ("2026-11", "2026-13"))
    ]


def test_cursors_work_with_the_longest_names(desk: Desk, viewer: Program) -> None:
    long = WalletName(f"{'短' * MAX_NAME}/{'信' * MAX_NAME}")
    desk.world.configure(WalletName("acme"), long)
    for name in (WalletName("acme"), long):
        desk.world.shows(industry(5), wallet=name)
        desk.world.limit(name, "voice", warning_below=1)
    desk.world.poll()
    assert 8 == len(_all(viewer, "/balances", "balances", limit=1))
    assert 2 == len(_all(viewer, "/thresholds", "thresholds", limit=1))
