"""Figures for Prometheus: what the database says when it is asked."""

from datetime import UTC, datetime

from balancebot.domain.notification import Channel
from balancebot.observability.metrics import Metrics
from balancebot.storage.troubles import Trouble
from balancebot.usecases.showing.standing import Standing

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_what_channels_refuse_is_counted_for_each_of_them() -> None:
    revoked = Trouble(channel=Channel.SLACK, destination="#ops", message="token_revoked", since=NOON)
    standing = Standing(balances=(), num_open={}, num_pending=3, refusals=(revoked,), last_cycle_at=None)

    lines = Metrics(lambda: standing).text().decode().splitlines()

    assert [
        'balancebot_channel_refusals{channel="slack"} 1.0',
        'balancebot_channel_refusals{channel="email"} 0.0',
        "balancebot_outbox_pending 3.0",
    ] == sorted(
        (line for line in lines if line.startswith(("balancebot_channel", "balancebot_outbox"))),
        key=lambda line: ("slack" not in line, "email" not in line),
    )
