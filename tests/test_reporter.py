"""Reports become log lines and metrics: a repeated failure is logged once and counted every time."""

import logging
from datetime import UTC, datetime

import pytest

from balancebot.domain.balance import NEVER_READ, Snapshot, WalletName
from balancebot.domain.delivery import DeliveryState, Outcome
from balancebot.domain.sentence import verbatim
from balancebot.logs import Reporter
from balancebot.metrics import Metrics
from balancebot.notify.queue import AttemptReport, DeliverReport
from balancebot.overview.balances import SystemStatus
from balancebot.poll.cycle import PollReport
from balancebot.ports import ChannelErrorKind, FetchResult, SourceError, SourceErrorKind
from balancebot.store.errors import DatabaseError, DatabaseErrorKind

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_SHOP, _WEB = WalletName("acme/shop"), WalletName("acme/web")


def _unasked() -> SystemStatus:
    raise DatabaseError(DatabaseErrorKind.UNREACHABLE, "database here.db: the folder does not exist")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(_unasked)


@pytest.fixture
def reporter(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> Reporter:
    caplog.set_level(logging.INFO, "balancebot")
    return Reporter(metrics)


def _error(wallet: WalletName, kind: SourceErrorKind) -> SourceError:
    return SourceError(wallet=wallet, at=_NOW, kind=kind, message=verbatim(f"{wallet}: {kind}"))


def _good(wallet: WalletName) -> Snapshot:
    return Snapshot(wallet=wallet, observed_at=_NOW, readings=NEVER_READ)


def _polled(*results: FetchResult) -> PollReport:
    return PollReport(seconds=2.0, results=results, notified=())


def _tried(outcome: Outcome | ChannelErrorKind) -> DeliverReport:
    return DeliverReport(
        attempts=(
            AttemptReport(
                at=_NOW,
                channel="slack",
                destination="#ops",
                delivery_id="d",
                alert_id="1",
                number=1,
                outcome=outcome,
                state=DeliveryState.PENDING,
            ),
        )
    )


def _events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage() != "poll.cycle"]


def test_a_cycle_is_one_line(reporter: Reporter, caplog: pytest.LogCaptureFixture) -> None:
    reporter.polled(_polled(_good(_SHOP), _good(_WEB)))
    (record,) = caplog.records
    fields = {name: vars(record)[name] for name in ("wallets", "failed", "notified", "seconds")}
    assert ("poll.cycle", {"wallets": 2, "failed": 0, "notified": 0, "seconds": 2.0}) == (
        record.getMessage(),
        fields,
    )


def test_a_wallet_that_keeps_failing_is_logged_when_the_kind_changes_and_counted_every_time(
    reporter: Reporter, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (SourceErrorKind.TIMEOUT, SourceErrorKind.TIMEOUT, SourceErrorKind.CREDENTIALS):
        reporter.polled(_polled(_error(_SHOP, kind), _error(_WEB, kind)))
    reporter.polled(_polled(_good(_SHOP), _good(_WEB)))
    assert ["wallet.unreadable", "wallet.unreadable", "wallet.readable_again"] == _events(caplog)
    text = metrics.text().decode()
    assert 'balancebot_polls_total{outcome="timeout"} 4.0' in text
    assert 'balancebot_polls_total{outcome="credentials"} 2.0' in text
    assert 'balancebot_polls_total{outcome="ok"} 2.0' in text
    assert "balancebot_poll_duration_seconds_count 4.0" in text


def test_a_channel_that_keeps_refusing_is_logged_once_and_counted_every_time(
    reporter: Reporter, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        reporter.delivered(_tried(ChannelErrorKind.UNREACHABLE))
    reporter.delivered(_tried(Outcome.DELIVERED))
    assert ["delivery.failed", "delivery.tried"] == _events(caplog)
    text = metrics.text().decode()
    assert 'balancebot_notifications_total{channel="slack",outcome="unreachable"} 3.0' in text
    assert 'balancebot_notifications_total{channel="slack",outcome="delivered"} 1.0' in text


def test_an_unreachable_database_leaves_the_counters_unchanged(metrics: Metrics) -> None:
    text = metrics.text().decode()
    assert 'balancebot_polls_total{outcome="ok"} 0.0' in text
    assert "balancebot_balance" not in text
