"""The page of a wallet: history, forecast, limits and notifications."""

import csv
import html
import re
from datetime import timedelta

import pytest

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.user import Role
from balancebot.store import audit
from tests.web.conftest import Desk
from tests.world import World


@pytest.fixture
def world(watching: World) -> World:
    return watching


def test_a_balance_is_shown_with_its_history_forecast_and_limits(desk: Desk) -> None:
    with desk.user(Role.FINANCE) as browser:
        text = browser.get("/wallets/acme/checkout?category=industry").text
    for drawn in (
        'class="history"',
        'class="fan"',
        'class="median"',
        'class="top-up"',
        'class="limit warning"',
    ):
        assert 2 <= text.count(drawn), drawn
    assert "set for this balance" in text
    assert "Buy about " in text
    assert 'href="/thresholds/edit?wallet=acme%2Fcheckout&amp;category=industry"' in text


def test_a_balance_is_explained_completely(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout?category=industry").text
    chain = re.findall(r"<dt>(.*?)</dt><dd>(?=<div>)", text.split('<section class="card" id="why">')[1])
    assert ["Reading", "Usage", "Limits", "Verdict", "Alert", "Sent", "Outlook"] == chain
    assert "below the critical limit of 20,000" in text


def test_the_days_of_a_balance_are_a_csv_file(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout?category=industry&days=7").text
        link = html.unescape(re.findall(r'href="(/days.csv[^"]*)"', text)[0])
        rows = list(csv.DictReader(browser.get(link).content.decode("utf-8-sig").splitlines()))
        every = browser.get("/days.csv?wallet=acme/checkout").text
        assert 404 == browser.get("/days.csv?wallet=acme/nothing").status_code
    assert 7 == len(rows)
    assert {("acme/checkout", "industry")} == {(row["wallet"], row["category"]) for row in rows}
    assert all(int(row["used"]) > 0 and int(row["balance"]) >= 0 for row in rows)
    assert [row["from"] for row in rows[:-1]] == [row["until"] for row in rows[1:]]
    assert 30 == every.count("acme/checkout,universal,")


def test_an_unallocated_balance_has_no_chart(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout?category=market").text
    assert "Nothing is allocated here" in text
    assert '<svg class="chart ' not in text
    assert "Day by day" not in text


def test_without_a_category_the_worst_balance_is_shown(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout").text
    assert 'aria-label="acme/checkout industry: the last 30 days and the forecast"' in text


def test_transfers_and_top_ups_are_marked_differently(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        text = browser.get("/wallets/acme/checkout?category=universal").text
    assert "transfer +25,000</title>" in text
    assert 'class="top-up"' not in text.split('<ul class="legend">')[0]


def test_a_wrong_reading_is_shown(desk: Desk) -> None:
    at = desk.world.clock.now() - timedelta(minutes=10)
    with desk.world.database.write() as conn:
        audit.record_change(
            conn,
            Actor(name="balancebot", via=Via.POLL),
            Act.CORRECT_READING,
            "acme/checkout:industry",
            before={"balance": 267_000, "read_at": at.isoformat()},
            after={"balance": 26_700, "read_at": at.isoformat()},
            now=desk.world.clock.now(),
        )
    with desk.user(Role.VIEWER) as browser:
        page = browser.get("/wallets/acme/checkout?category=industry").text
        other = browser.get("/wallets/acme/checkout?category=voice").text
        log = browser.get("/audit").text

    assert "267,000 instead of about 26,700" in page
    assert "Wrong readings" not in other
    assert "took back a wrong reading of" in log


def test_an_unknown_wallet_is_not_found(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        answer = browser.get("/wallets/acme/nothing")
    assert (404, True) == (answer.status_code, "This wallet doesn&#39;t exist." in answer.text)


def test_a_past_range_is_shown_without_the_forecast(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as browser:
        page = "/wallets/acme/checkout?category=industry&from=2026-11-10&to=2026-11-12"
        text = browser.get(page).text
        assert 'aria-label="acme/checkout industry: from 2026-11-10 to 2026-11-12"' in text
        charts = text.split('<ul class="legend">')[0]
        assert 'class="history"' in charts
        assert 'class="fan"' not in charts
        assert 'class="now"' not in charts
        assert 3 == text.split("Day by day")[1].count("<tr") - 1
        until_now = browser.get("/wallets/acme/checkout?category=industry&from=2026-11-20").text
        assert 'class="fan"' in until_now
        assert "from=2026-11-20" in until_now  # the range is kept for the other categories


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("from=2026-11-20&to=2026-11-10", "The first day must be before the last one"),
        ("from=2027-01-01", "The first day must be before the last one"),
        ("from=2020-01-01", "At most 400 days are shown at once."),
        ("from=soon", "The first day must be a day such as"),
        ("to=9999-12-31", "The last day is 9999-12-31"),
        ("from=0001-01-01&to=0001-01-02", "The first day is 0001-01-01"),
    ],
)
def test_an_invalid_range_is_reported_and_the_last_month_is_shown(
    desk: Desk, asked: str, message: str
) -> None:
    with desk.user(Role.VIEWER) as browser:
        answer = browser.get(f"/wallets/acme/checkout?category=industry&{asked}")
    assert (200, True) == (answer.status_code, message in answer.text)
    assert "the last 30 days and the forecast" in answer.text
