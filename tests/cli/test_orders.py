"""`orders`: a purchase is recorded, counted as it arrives, overdue after its date, and can be cancelled."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]

pytestmark = pytest.mark.usefixtures("config")


def listed(balancebot: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(balancebot("orders", "list", "--json").out)["orders"]
    return found


def test_an_order_is_recorded_listed_and_cancelled(balancebot: Run) -> None:
    added = balancebot(
        *("orders", "add", "acme/checkout", "market", "6万", "--expected", "2027-12-01"),
        *("--price", "2,700.50", "--ref", "PO 4711", "--note", "winter sale"),
    )
    about = "60,000 messages of acme/checkout:market, expected by 2027-12-01"
    assert (0, f"order 1: {about}\n", "") == (added.status, added.out, added.err)

    (order,) = listed(balancebot)
    assert str(order.pop("ordered_at")).endswith("Z")
    assert order.pop("ordered_by")
    assert {
        "id": "1",
        "wallet": "acme/checkout",
        "account": "acme",
        "category": "market",
        "state": "open",
        "ordered": 60_000,
        "arrived": 0,
        "expected_at": "2027-12-01T23:59:00Z",
        "price": 2700.5,
        "cost": 2700.5,
        "currency": "CNY",
        "reference": "PO 4711",
        "note": "winter sale",
        "cancelled_at": None,
        "cancelled_by": None,
    } == order
    assert "acme/checkout:market  open    60,000        0  2027-12-01" in balancebot("orders", "list").out

    assert f"cancelled order 1: {about}\n" == balancebot("orders", "cancel", "1").out
    assert ["cancelled"] == [order["state"] for order in listed(balancebot)]
    again = balancebot("orders", "cancel", "1")
    assert (1, "no open order has the id 1\n") == (again.status, again.err)


def test_an_order_whose_date_has_passed_is_overdue(balancebot: Run) -> None:
    balancebot("orders", "add", "acme", "industry", "20k", "--expected", "2026-01-31")
    assert [("acme", "overdue", 20_000)] == [
        (order["wallet"], order["state"], order["ordered"]) for order in listed(balancebot)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("acme/chekout", "market", "10"), "did you mean acme/checkout?"),
        (("acme", "sms", "10"), "CATEGORY there is no category 'sms'"),
        (("acme", "market", "lots"), "QUANTITY must be a whole number"),
        (("acme", "market", "0"), "an order is for 1 to"),
    ],
)
def test_an_invalid_order_is_refused_with_the_reason(
    balancebot: Run, words: tuple[str, ...], message: str
) -> None:
    outcome = balancebot("orders", "add", *words, "--expected", "2027-12-01")
    assert outcome.status
    assert message in outcome.err
    assert not listed(balancebot)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--expected", "soon", "must be a day such as"),
        ("--price", "cheap", "--price must be a sum of money"),
    ],
)
def test_invalid_options_are_refused(balancebot: Run, option: str, text: str, message: str) -> None:
    options = {"--expected": "2027-12-01", option: text}
    words = [word for pair in options.items() for word in pair]
    outcome = balancebot("orders", "add", "acme", "market", "10", *words)
    assert 2 == outcome.status
    assert message in outcome.err
