"""Prometheus metrics: counters of what this process did, and gauges that are read from the database at each scrape.

So every replica shows the same balances, and a balance that no longer exists has no sample.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from balancebot.domain.alert import AlertKind
from balancebot.domain.balance import account_of, app_of
from balancebot.domain.message import MutedCounts
from balancebot.domain.runway import Runway
from balancebot.domain.verdict import Severity
from balancebot.overview.balances import SystemStatus
from balancebot.ports import SourceErrorKind
from balancebot.store.errors import DatabaseError

log = logging.getLogger(__name__)

READ = "ok"
"""The outcome of a wallet that was read; the other outcomes are the kinds of source errors."""

_SECONDS_PER_HOUR = 3600
_BALANCE = ("account", "app", "category")
_POSSIBLE = (
    *((AlertKind.LOW_BALANCE, severity) for severity in Severity if severity > Severity.OK),
    (AlertKind.BURN_SPIKE, Severity.CRITICAL),
    (AlertKind.CREDENTIALS_REJECTED, Severity.CRITICAL),
    (AlertKind.STALE, Severity.WARNING),
)
"""Each possible kind and severity of an alert; there is always a sample of each, even if it is 0."""


class Metrics:
    """The metrics of one process."""

    def __init__(self, status: Callable[[], SystemStatus], *, channels: Iterable[str] = ()) -> None:
        """`channels` have samples from the start; if `status` raises `DatabaseError`, the gauges have no samples."""
        self._registry = CollectorRegistry()
        self.polls = Counter(
            "balancebot_polls", "Readings of wallets, by outcome", ["outcome"], registry=self._registry
        )
        self.poll_duration = Histogram(
            "balancebot_poll_duration_seconds", "How long poll cycles took", registry=self._registry
        )
        self.notifications = Counter(
            "balancebot_notifications",
            "Attempts at deliveries, by outcome",
            ["channel", "outcome"],
            registry=self._registry,
        )
        self.log_ins = Counter(
            "balancebot_logins",
            "Attempts to log in to the pages, by outcome",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in ("ok", "refused", "throttled", "busy"):
            self.log_ins.labels(outcome)
        for outcome in (READ, *SourceErrorKind):
            self.polls.labels(outcome)
        self._channels: list[str] = []
        self.show_channels(channels)
        self._registry.register(_FromDatabase(status, self._channels))
        ProcessCollector(registry=self._registry)

    def show_channels(self, channels: Iterable[str]) -> None:
        """Add samples for these channels, which are configured now. The counts of other channels stay."""
        self._channels[:] = channels
        for channel in self._channels:
            self.notifications.labels(channel, "delivered")

    def text(self) -> bytes:
        """Return all metrics as Prometheus text."""
        return generate_latest(self._registry)


@dataclass(frozen=True, slots=True, eq=False)
class _FromDatabase(Collector):
    status: Callable[[], SystemStatus]
    channels: Sequence[str]

    def describe(self) -> Iterator[Metric]:
        """Return nothing: registering must not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read the present status."""
        try:
            now = self.status()
        except DatabaseError as error:
            log.warning("metrics.unread", extra={"error": str(error)})
            return
        balance = GaugeMetricFamily("balancebot_balance", "Messages left", labels=_BALANCE)
        burn = GaugeMetricFamily(
            "balancebot_burn_per_day", "Expected use of the next 24 hours, in messages", labels=_BALANCE
        )
        runway = GaugeMetricFamily(
            "balancebot_runway_seconds",
            "Time until the balance is 0; +Inf beyond 365 days",
            labels=(*_BALANCE, "percentile"),
        )
        for view in now.balances:
            if not isinstance(view.reading, int):
                continue
            labels = [account_of(view.key.wallet), app_of(view.key.wallet) or "", view.key.category.value]
            balance.add_metric(labels, view.reading)
            if view.estimate.burn_per_day is not None:
                burn.add_metric(labels, view.estimate.burn_per_day)
            if view.estimate.runway is not None:
                for percentile, hours in _percentiles(view.estimate.runway):
                    runway.add_metric([*labels, percentile], hours * _SECONDS_PER_HOUR)
        yield from (balance, burn, runway)
        alerts = GaugeMetricFamily("balancebot_alerts_open", "Open alerts", labels=("kind", "severity"))
        for (kind, severity), num in (dict.fromkeys(_POSSIBLE, 0) | dict(now.num_open)).items():
            alerts.add_metric([kind.value, severity.word], num)
        yield alerts
        yield from _muted(now.muted)
        yield GaugeMetricFamily(
            "balancebot_outbox_pending", "Deliveries that wait or are under way", value=now.num_pending
        )
        yield GaugeMetricFamily(
            "balancebot_wallets_set_aside",
            "Wallets that are neither read nor judged because rows of theirs are damaged",
            value=now.num_set_aside,
        )
        yield GaugeMetricFamily(
            "balancebot_database_damaged",
            "Whether the last daily check has found the file of the SQLite database damaged",
            value=int(now.file_is_damaged),
        )
        refusals = GaugeMetricFamily(
            "balancebot_channel_refusals",
            "Destinations that refuse messages until a person has acted",
            labels=("channel",),
        )
        for channel in dict.fromkeys((*self.channels, *(refusal.channel for refusal in now.refusals))):
            refusals.add_metric([channel], sum(refusal.channel == channel for refusal in now.refusals))
        yield refusals
        if now.last_cycle_at is not None:
            yield GaugeMetricFamily(
                "balancebot_last_cycle_timestamp_seconds",
                "When the last complete poll cycle ended",
                value=now.last_cycle_at.timestamp(),
            )


def _muted(now: MutedCounts) -> Iterator[Metric]:
    """Yield the alerts whose messages are muted; an alert with several reasons is counted under each."""
    muted = GaugeMetricFamily(
        "balancebot_alerts_muted",
        "Open alerts without a message, or without a message of their own",
        labels=("by",),
    )
    for by, num in (
        ("silence", now.silenced),
        ("acknowledgement", now.acknowledged),
        ("quiet_hours", now.waiting),
        ("grouping", now.grouped),
        ("flapping", now.flapping),
    ):
        muted.add_metric([by], num)
    spared = GaugeMetricFamily(
        "balancebot_messages_spared",
        "Openings and recoveries of open alerts that took no message of their own, per destination for groups",
        labels=("by",),
    )
    spared.add_metric(["grouping"], now.spared_by_grouping)
    spared.add_metric(["flapping"], now.spared_by_flapping)
    yield from (muted, spared)


def _percentiles(runway: Runway) -> tuple[tuple[str, float], ...]:
    return (("10", runway.p10), ("50", runway.p50), ("90", runway.p90))
