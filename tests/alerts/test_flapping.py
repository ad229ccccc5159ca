"""A balance that flaps all day is reported as flapping once: from readings through the outbox to Slack and the mailbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import cycle

from balancebot.domain.audit import Actor, Via
from balancebot.domain.message import AlertMessage
from balancebot.ports import SourceErrorKind
from balancebot.store import alerts
from tests.outbox_bench import SentMessage
from tests.patterns import pattern_from
from tests.world import industry

ONCALL = Actor(name="oncall (U17)", via=Via.SLACK)


def shown(message: SentMessage) -> Sequence[object]:
    """Return what a living message shows now: the severity, the balance, and the state of flapping."""
    last = message.edits[-1] if message.edits else message.message
    assert isinstance(last, AlertMessage)
    return (last.alert.severity.word, last.measurement.reading, flapping(last))


def flapping(message: object) -> tuple[int, datetime | None, int] | None:
    """Return the number of flaps, since when the balance is above its limits, and the relapses; None: not flapping."""
    assert isinstance(message, AlertMessage)
    alert = message.alert
    return (alert.flaps, alert.calm_since, alert.relapses) if alert.is_flapping else None


def test_ten_flaps_are_six_messages_and_the_fifth_reports_the_flapping(long_day):
    start = long_day.clock.now()
    long_day.reads(*(500, 5000) * 10)
    long_day.reads(5000, 5000)

    # two episodes, and the third from its opening to an hour after the last flap
    expected = ["opened", "> recovered", "opened", "> recovered", "opened", "> recovered"]
    assert (expected, expected) == (long_day.slack.received(), long_day.mail.received("finance@example.com"))
    assert [0, 0.5, 1, 1.5, 2, 10.5] == [
        (message.at - start) / timedelta(hours=1) for message in long_day.slack.messages
    ]
    opening, ending = long_day.slack.messages[-2:]
    assert (3, None, 0) == flapping(opening.message)
    assert (7, "warning") == (ending.message.alert.relapses, ending.message.alert.peak.word)


def test_ten_flaps_spread_over_the_day_are_sent_up_to_the_fourth_opening(long_day):
    for _ in range(10):
        long_day.reads(500, then=timedelta(minutes=72))
        long_day.reads(5000, then=timedelta(minutes=61))
        long_day.reads(5000, then=timedelta(minutes=11))

    # the second fall is undone within two hours, so it counts as a wrong reading
    ended = ["> recovered", "> closed", "> recovered"]
    assert [text for end in ended for text in ("opened", end)] + ["opened"] == long_day.slack.received()
    assert (4, None, 0) == flapping(long_day.slack.messages[-1].message)


def test_the_living_message_shows_the_current_state_while_recovering(long_day):
    long_day.reads(*(500, 5000) * 2, 500)
    seen = [shown(long_day.living())]
    for balance in (5000, 1020, 50, 500, 5000):
        at = long_day.clock.now()
        long_day.reads(balance, then=timedelta(minutes=10))
        seen.append(shown(long_day.living()))

    assert [
        ("warning", 500, (3, None, 0)),
        ("warning", 5000, (3, at - timedelta(minutes=40), 0)),
        ("warning", 1020, (3, None, 1)),
        ("critical", 50, (3, None, 1)),
        ("warning", 500, (3, None, 1)),
        ("warning", 5000, (3, at, 1)),
    ] == seen
    assert ["opened", "> recovered"] * 2 + ["opened", "> worsened"] == long_day.slack.received()


def test_a_worsening_is_sent_once_while_recovering(long_day):
    long_day.reads(*(500, 5000) * 2, 500)
    long_day.reads(*(50, 500, 5000) * 3, 0, then=timedelta(minutes=10))

    worsenings = [text for text in long_day.slack.received() if text == "> worsened"]
    assert (2, "depleted") == (len(worsenings), long_day.slack.messages[-1].message.alert.severity.word)


def test_an_alert_that_worsens_repeatedly_is_reported_as_flapping_at_the_third_worsening(long_day):
    long_day.reads(500, *(50, 500) * 9, then=timedelta(minutes=10))

    assert ["opened", *["> worsened"] * 3] == long_day.slack.received()
    assert [None, None, (3, None, 0)] == [
        flapping(message.message) for message in long_day.slack.messages[1:]
    ]
    assert ("warning", 500) == tuple(shown(long_day.living()))[:2]

    long_day.reads(*[500] * 7, 50, then=timedelta(minutes=10))
    assert (4, None, 0) == flapping(long_day.slack.messages[-1].message)
    assert 5 == len(long_day.slack.messages)


def test_three_openings_caused_by_changed_limits_are_not_flapping(long_day):
    for limit in (2000, 100, 2000, 100, 2000):
        with long_day.database.write() as conn:
            conn.exec_driver_sql(f"UPDATE thresholds SET warning_below = {limit}, version = version + 1")
        long_day.reads(1500)
    long_day.reads(5000)

    assert ["opened", "> closed"] * 2 + ["opened", "> recovered"] == long_day.slack.received()


def test_two_purchases_in_a_day_are_two_immediate_recoveries(long_day):
    long_day.reads(500, 5000, 500, 5000)

    assert ["opened", "> recovered"] * 2 == long_day.slack.received()


def test_flapping_is_counted_again_from_the_next_day(long_day):
    long_day.reads(*(500, 5000) * 2)
    long_day.clock.pass_by(hours=24)
    long_day.reads(500, 5000)

    assert ["opened", "> recovered"] * 3 == long_day.slack.received()


def test_no_reminder_and_no_end_of_a_silence_is_sent_while_recovering(long_day):
    long_day.reads(*(500, 5000) * 2)
    long_day.app.operate_alerts.silence(
        pattern_from("acme/*"), until=long_day.clock.now() + timedelta(hours=1), reason="", by=ONCALL
    )
    long_day.reads(500, 5000, 5000, then=timedelta(minutes=31))

    assert ["opened", "> recovered"] * 2 == long_day.slack.received()
    with long_day.database.read() as conn:
        alert = alerts.listed(conn)[0].alert
    assert (None, True) == (alert.peak, alert.is_flapping)

    long_day.reads(500)
    assert "opened" == long_day.slack.received()[-1]


def test_an_alert_of_a_wallet_never_flaps(long_day):
    answers = cycle([SourceErrorKind.CREDENTIALS, SourceErrorKind.CREDENTIALS, industry(5000)])
    for _ in range(12):
        long_day.shows(next(answers))
        long_day.poll()
        long_day.clock.pass_by(minutes=5)

    assert [
        "opened critical acme/shop credentials_rejected",
        "recovered ok acme/shop credentials_rejected",
    ] * 4 == long_day.transitions()
