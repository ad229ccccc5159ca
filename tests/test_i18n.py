"""Figures and enumerations as people read them."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from balancebot.catalogue import number, sparkline
from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Absent, Category
from balancebot.domain.holidays import HolidayCalendar
from balancebot.domain.runway import OrderAdvice, PlannedUse, Runway
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Crossed, Severity
from balancebot.i18n import Wording, mark
from tests.messages import changed
from tests.notify.examples import RECOVERED

ENGLISH = Wording(language="en")
CHINESE = Wording(language="zh-CN", zone=ZoneInfo("Asia/Shanghai"))
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "english", "chinese"),
    [
        (None, "unknown", "未知"),
        (math.inf, "more than a year", "一年以上"),
        (0.0, "none left", "已用完"),
        (0.001, "≈ 1 min", "约 1 分钟"),
        (0.66, "≈ 40 min", "约 40 分钟"),
        (1.5, "≈ 1.5 h", "约 1.5 小时"),
        (9.2, "≈ 9 h", "约 9 小时"),
        (60.0, "≈ 2.5 days", "约 2.5 天"),
        (816.0, "≈ 34 days", "约 34 天"),
    ],
)
def test_a_runway_is_rounded_for_people(hours: float | None, english: str, chinese: str) -> None:
    assert (english, chinese) == (ENGLISH.duration(hours), CHINESE.duration(hours))


def test_a_runway_shows_its_range() -> None:
    assert ENGLISH.runway(Runway(p10=6, p50=9, p90=14, judged=7)) == "≈ 9 h (6 h to 14 h)"
    assert ENGLISH.runway(Runway(p10=80, p50=math.inf, p90=math.inf, judged=90)) == (
        "more than a year (3.3 days or more)"
    )
    assert CHINESE.runway(Runway(p10=0, p50=0, p90=0, judged=0)) == "已用完"


def test_a_range_that_includes_the_end_of_a_burst_says_so() -> None:
    after_a_mailing = Runway(p10=1 / 60, p50=77, p90=82, judged=1 / 60)
    assert "≈ 3.2 days (to 3.4 days; only 1 min in a burst)" == ENGLISH.runway(after_a_mailing)
    assert "约 3.2 天（最长 3.4 天；若遇突发仅 1 分钟）" == CHINESE.runway(after_a_mailing)
    assert "≈ 12 min (1 min to 18 min)" == ENGLISH.runway(Runway(p10=0.02, p50=0.2, p90=0.3, judged=0.02))


def test_a_runway_names_what_it_is_based_on() -> None:
    young = Runway(p10=6, p50=9, p90=14, judged=7, history_hours=2.0)
    assert "≈ 9 h (6 h to 14 h), from only 2 h of history" == ENGLISH.runway(young)
    assert "约 9 小时（6 小时至 14 小时），仅有 2 小时的历史数据" == CHINESE.runway(young)
    with_sends = Runway(p10=300, p50=384, p90=500, judged=330, sends=33_000)
    assert "≈ 16 days (12 days to 21 days), incl. bulk sends of 33,000" == ENGLISH.runway(with_sends)
    assert "约 16 天（12 天至 21 天），已计入批量发送 33,000 条" == CHINESE.runway(with_sends)


@pytest.mark.parametrize(
    ("crossed", "english", "chinese"),
    [
        (
            Crossed(column=LimitColumn.CRITICAL_BELOW, limit=5000, value=312, scope="acme/*"),
            "312 messages, below the critical limit of 5,000 (set for acme/*)",
            "312 条，低于严重余量 5,000（按 acme/* 的设置）",
        ),
        (
            Crossed(column=LimitColumn.WARNING_DAYS, limit=7, value=2.8),
            "sure for 2.8 days, below the warning limit of 7 days",
            "有把握可用 2.8 天，低于预警天数 7 天",
        ),
        (Crossed(column=None, limit=None, value=0), "nothing is left", "余量为 0"),
    ],
)
def test_the_crossed_limit_is_shown_with_the_value_that_crossed_it(
    crossed: Crossed, english: str, chinese: str
) -> None:
    assert (english, chinese) == (ENGLISH.crossed(crossed), CHINESE.crossed(crossed))


def test_a_value_that_would_round_to_its_limit_keeps_enough_digits() -> None:
    crossed = Crossed(column=LimitColumn.CRITICAL_DAYS, limit=3, value=2.96)
    assert ENGLISH.crossed(crossed) == "sure for 2.96 days, below the critical limit of 3 days"


def test_unallocated_and_unread_are_distinguished_from_zero_and_each_other() -> None:
    readings = (0, 1, 1234567, Absent.UNALLOCATED, Absent.UNREAD)
    assert [ENGLISH.cell(reading) for reading in readings] == ["0", "1", "1,234,567", "—", "not read yet"]
    assert [CHINESE.reading(reading) for reading in readings] == [
        "0 条",
        "1 条",
        "1,234,567 条",
        "未分配",
        "尚未读取",
    ]


def test_small_usage_rates_keep_a_decimal() -> None:
    assert [number(value) for value in (0, 0.4, 9.96, 1204.4)] == ["0", "0.4", "10.0", "1,204"]
    assert [ENGLISH.burn(value) for value in (None, 0.0, 1204.4)] == ["unknown", "no usage", "1,204 a day"]


def test_instants_are_shown_in_the_readers_time_zone() -> None:
    assert [ENGLISH.when(NOON), CHINESE.when(NOON)] == ["Tue 24 Nov, 12:00", "11月24日周二 20:00"]
    later = [NOON + timedelta(days=days) for days in (1, 10, 200)]
    assert [ENGLISH.ahead(at, now=NOON) for at in later] == ["Wed 25 Nov, 12:00", "Fri 4 Dec", "12 Jun 2027"]


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(-60, "any minute"), (4, "any minute"), (6, "Tue 24 Nov, 18:46"), (5_000, "Sat 28 Nov")],
)
def test_a_time_in_the_near_future_or_past_has_no_time_of_day(minutes: int, text: str) -> None:
    now = datetime(2026, 11, 24, 18, 40, tzinfo=UTC)
    assert text == Wording().expected(now + timedelta(minutes=minutes), now=now)


def test_a_deadline_is_before_known_holidays() -> None:
    holidays = HolidayCalendar(
        zone="UTC",
        days_off=frozenset({date(2026, 11, 26), date(2026, 11, 27)}),
        workdays=frozenset(),
        known_until=date(2026, 12, 31),
    )
    now = datetime(2026, 11, 20, tzinfo=UTC)
    by = datetime(2026, 11, 28, tzinfo=UTC)

    assert ["Fri 27 Nov", "Wed 25 Nov"] == [
        Wording(holidays=calendar).act_by(by, now=now) for calendar in (None, holidays)
    ]


def test_the_end_of_an_alert_opened_by_days_does_not_mention_the_balance() -> None:
    """A planned send that is removed ends it too, while the balance falls."""
    by_days = Crossed(column=LimitColumn.WARNING_DAYS, limit=7, value=5.5)
    assert ["the balance is above its limits again", "it lasts long enough again"] == [
        ENGLISH.why_closed(changed(RECOVERED, crossed=crossed)) for crossed in (None, by_days)
    ]


def test_a_sparkline_starts_at_zero_and_leaves_gaps() -> None:
    assert sparkline((800, 400, None, 1, 0)) == "█▅ ▂▁"
    assert sparkline((0, 0)) == "▁▁"


def test_order_advice_shows_quantity_date_and_confidence() -> None:
    advice = OrderAdvice(
        messages=30_000, order_by=NOON + timedelta(days=2), until=NOON + timedelta(days=30), confidence=0.9
    )
    assert ENGLISH.order(advice, Category.INDUSTRY, now=NOON) == (
        "Buy about 30,000 industry SMS by Wed 25 Nov: enough until Thu 24 Dec (90 % sure)"
    )
    assert CHINESE.order(advice, Category.INDUSTRY, now=NOON) == (
        "请最迟于 11月25日周三采购行业短信约 30,000 条，有 90% 的把握可用到 12月24日周四"
    )
    at_once = replace(advice, order_by=NOON + timedelta(hours=6))  # no working day ends before that
    assert ENGLISH.order(at_once, Category.VOICE, now=NOON).startswith(
        "Buy about 30,000 voice SMS now: enough"
    )
    assert ENGLISH.order(replace(advice, messages=0, order_by=None), Category.VOICE, now=NOON) == ""


def test_orders_of_many_balances_are_summed_by_category() -> None:
    total = {Category.MARKET: 20_000, Category.INDUSTRY: 60_000, Category.VOICE: 0}
    assert ENGLISH.order_total(total, now=NOON) == "Buy in total about 60,000 industry, 20,000 market SMS"
    assert CHINESE.order_total(total, now=NOON) == "合计需采购约：行业短信 60,000 条、营销短信 20,000 条"
    due = [NOON, NOON + timedelta(hours=6), NOON + timedelta(days=2)]
    assert [ENGLISH.order_total(total, order_by=at, now=NOON).partition(" SMS")[2] for at in due] == [
        ", the first of it now",
        ", the first of it now",
        ", the first of it by Wed 25 Nov",
    ]
    assert ENGLISH.order_total({}, now=NOON) == ""


def test_every_member_of_every_enumeration_has_a_word_in_every_language() -> None:
    for words in (ENGLISH, CHINESE):
        texts = [
            *(words.severity(severity) for severity in Severity),
            *(words.category(category) for category in Category),
            *(words.kind(kind) for kind in AlertKind),
            *(words.reason(reason) for reason in Reason),
            *(words.cause(cause) for cause in Cause),
        ]
        assert all(texts)
    assert len({mark(severity) for severity in Severity}) == len(Severity)


def test_a_burst_on_a_day_of_many_bulk_sends_has_advice_in_case_it_recurs() -> None:
    words = Wording()

    assert words.not_counted(26_700, datetime(2026, 3, 31, 9, tzinfo=UTC)).endswith(
        "every month, announce it"
    )
    assert words.not_counted(26_700, datetime(2026, 3, 27, 9, tzinfo=UTC)).endswith("09:00")


def test_an_expected_recurring_send_is_not_shown_as_a_planned_send() -> None:
    begins = datetime(2026, 3, 31, 9, tzinfo=UTC)
    send = PlannedUse(
        messages=60_000, starts_at=begins, ends_at=begins + timedelta(hours=3), is_expected=True
    )

    assert (
        "Expected, as on earlier such days: about 60,000 messages from Tue 31 Mar, 09:00"
        == Wording().planned(send)
    )


def test_order_advice_shows_open_orders_even_if_nothing_more_is_needed() -> None:
    now = datetime(2026, 3, 3, 9, tzinfo=UTC)
    until = now + timedelta(days=30)
    words = Wording()

    def advice_text(messages: int, ordered: int) -> str:
        advice = OrderAdvice(
            messages=messages,
            order_by=now if messages else None,
            until=until,
            confidence=0.9,
            lacking=messages + ordered,
            ordered=ordered,
        )
        return words.with_ordered(words.order(advice, Category.INDUSTRY, now=now), advice, now=now)

    assert "" == advice_text(0, 0)
    assert (
        "Nothing more to buy: with 60,000 on order it is enough until Thu 2 Apr (90 % sure)"
        == advice_text(0, 60_000)
    )
    assert advice_text(50_000, 60_000).endswith("; 60,000 are on order already")
