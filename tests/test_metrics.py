"""Metrics for Prometheus, read from the database at each scrape."""

from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from balancebot.domain.balance import WalletName
from balancebot.domain.message import NOTHING_MUTED, MutedCounts
from balancebot.domain.sentence import sentence
from balancebot.metrics import Metrics
from balancebot.overview.balances import SystemStatus
from balancebot.store.channel_failures import ChannelFailure
from balancebot.store.database import Database
from tests.hostile_text import HOSTILE_TEXTS
from tests.world import World, industry

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

QUIET = SystemStatus(
    balances=(), num_open={}, muted=NOTHING_MUTED, num_pending=0, refusals=(), last_cycle_at=None
)


def test_muted_alerts_are_counted_by_reason() -> None:
    muted = MutedCounts(
        silenced=1, acknowledged=2, grouped=40, spared_by_grouping=39, flapping=3, spared_by_flapping=14
    )

    lines = Metrics(lambda: replace(QUIET, muted=muted)).text().decode().splitlines()

    assert [
        'balancebot_alerts_muted{by="silence"} 1.0',
        'balancebot_alerts_muted{by="acknowledgement"} 2.0',
        'balancebot_alerts_muted{by="quiet_hours"} 0.0',
        'balancebot_alerts_muted{by="grouping"} 40.0',
        'balancebot_alerts_muted{by="flapping"} 3.0',
        'balancebot_messages_spared{by="grouping"} 39.0',
        'balancebot_messages_spared{by="flapping"} 14.0',
    ] == [
        line for line in lines if line.startswith(("balancebot_alerts_muted", "balancebot_messages_spared"))
    ]


def test_failures_are_counted_per_channel() -> None:
    revoked = ChannelFailure(
        channel="slack", destination="#ops", message=sentence("token_revoked"), since=NOON
    )
    standing = replace(QUIET, num_pending=3, refusals=(revoked,))

    lines = Metrics(lambda: standing, channels=["slack", "email"]).text().decode().splitlines()

    assert [
        'balancebot_channel_refusals{channel="slack"} 1.0',
        'balancebot_channel_refusals{channel="email"} 0.0',
        "balancebot_outbox_pending 3.0",
    ] == sorted(
        (line for line in lines if line.startswith(("balancebot_channel", "balancebot_outbox"))),
        key=lambda line: ("slack" not in line, "email" not in line),
    )


def test_excluded_wallets_are_counted() -> None:
    lines = Metrics(lambda: replace(QUIET, num_set_aside=2)).text().decode().splitlines()
    assert "balancebot_wallets_set_aside 2.0" in lines


def test_a_damaged_database_file_is_shown() -> None:
    for damaged in (False, True):
        lines = Metrics(lambda: replace(QUIET, file_is_damaged=damaged)).text().decode().splitlines()  # noqa: B023 -- called immediately
        assert f"balancebot_database_damaged {float(damaged)}" in lines


def test_hostile_names_are_valid_labels(sqlite_url: str) -> None:
    # text that no database accepts can't come from one
    texts = [text[:60].encode(errors="ignore").decode() for text in HOSTILE_TEXTS.values()]
    names = list(dict.fromkeys(text.replace("\0", "").replace("/", "") for text in texts))
    world = World(Database(sqlite_url))
    wallets = [WalletName(f"{name}/{name}") for name in names]
    world.configure(*wallets)
    for wallet in wallets:
        world.shows(industry(5), wallet=wallet)
    world.poll()
    refusals = [
        ChannelFailure(channel=name, destination="#ops", message=sentence("no"), since=NOON) for name in names
    ]

    text = Metrics(lambda: replace(world.app.system_status(), refusals=tuple(refusals))).text().decode()

    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    shown = {(sample.labels["account"], sample.labels["app"]) for sample in found["balancebot_balance"]}
    assert {(name, name) for name in names} == shown
    assert names == [sample.labels["channel"] for sample in found["balancebot_channel_refusals"]]
    world.database.dispose()
