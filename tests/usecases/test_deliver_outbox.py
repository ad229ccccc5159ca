"""Every notification is told once, whatever the channel, the network and the process do in between."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest

from balancebot.domain.alert import Reason
from balancebot.ports import ChannelErrorKind
from balancebot.storage.database import Database
from tests.usecases.outbox_bench import (
    MAIL,
    OPS,
    Bench,
    Fate,
    bench_of,
    dies_after,
    dies_before,
    fails,
    loses_the_answer,
    loses_the_request,
)

dying = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    with bench_of(database) as bench:
        yield bench


def test_news_is_sent_and_settled(bench: Bench) -> None:
    alert = bench.open([OPS, MAIL])

    report = bench.run()

    assert ["opened"] == bench.slack.told()
    assert ["opened"] == bench.mail.told("finance@example.com")
    assert 0 == report.num_pending
    bench.tell(alert, Reason.RECOVERED, [OPS, MAIL])
    bench.run(seconds=1)
    assert ["opened", "> recovered"] == bench.slack.told()
    assert [Reason.RECOVERED] == [look.reason for look in bench.slack.messages[0].looks]
    assert ["opened", "> recovered"] == bench.mail.told("finance@example.com")


def test_nothing_is_sent_again(bench: Bench) -> None:
    bench.open()

    bench.run()
    bench.run(minutes=30)

    assert ["opened"] == bench.slack.told()


def test_a_failed_delivery_is_tried_again_at_least_every_30_seconds_in_the_first_minutes(
    bench: Bench,
) -> None:
    bench.slack.fates["#ops"] = [fails(ChannelErrorKind.UNREACHABLE)] * 20
    bench.open()

    for _ in range(300):
        bench.run(seconds=1)

    attempts = [at for at, _, _ in bench.slack.asked]
    assert ["opened"] == bench.slack.told()
    assert timedelta(seconds=16) >= max(later - earlier for earlier, later in pairwise(attempts))


@pytest.mark.parametrize("fate", [loses_the_answer, loses_the_request])
def test_a_lost_answer_is_looked_for_before_anything_is_sent_again(bench: Bench, fate: Fate) -> None:
    bench.slack.fates["#ops"] = [fate]
    bench.open()

    bench.run()
    bench.run(seconds=1)

    assert ["opened"] == bench.slack.told()
    assert "look" == bench.slack.asked[1][2]


@dying
@pytest.mark.parametrize("fate", [dies_before, dies_after])
def test_a_process_that_dies_while_it_sends_is_replaced_and_nothing_stands_twice(
    bench: Bench, fate: Fate
) -> None:
    bench.slack.fates["#ops"] = [fate]
    bench.open()
    bench.run()

    bench.restart()
    bench.run()

    assert ["opened"] == bench.slack.told()
