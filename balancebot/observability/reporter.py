"""Turns what use-cases report into log lines and counters: one line a cycle, one for each piece of news.

A failure that goes on is logged when its kind changes, and counted every time.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable

from balancebot.domain.balance import WalletName, account_of
from balancebot.observability.metrics import READ, Metrics
from balancebot.ports import ChannelErrorKind, SourceError, SourceErrorKind
from balancebot.usecases.delivering.delivery_report import Attempt, DeliverReport
from balancebot.usecases.reading.poll_cycle import PollReport

log = logging.getLogger("balancebot")


class Reporter:
    """Remembers what is going wrong, so that it says so once. Safe to call from several threads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._unreadable: dict[WalletName, SourceErrorKind] = {}
        self._refusals: dict[tuple[str, str], ChannelErrorKind] = {}
        self._faults: tuple[str, ...] = ()

    def polled(self, report: PollReport) -> None:
        """Tell of one round."""
        for result in report.results:
            outcome = result.kind.value if isinstance(result, SourceError) else READ
            self._metrics.polls.labels(outcome).inc()
        seconds = (report.ended_at - report.started_at).total_seconds()
        self._metrics.poll_duration.observe(max(0.0, seconds))
        self._tell_changes(report)
        for told in report.told:
            subject = told.subject
            log.info(
                f"alert.{told.reason}",
                extra={
                    "kind": subject.kind.value,
                    "wallet": subject.wallet,
                    "category": subject.category,
                    "severity": told.severity.word,
                },
            )
        for fault in report.faults:
            log.error("poll.not_kept", extra={"error": str(fault)})
        log.info(
            "poll.cycle",
            extra={
                "wallets": len(report.results),
                "failed": len(report.errors),
                "news": len(report.told),
                "seconds": round(seconds, 3),
            },
        )

    def delivered(self, report: DeliverReport) -> None:
        """Tell of what was tried for the outbox."""
        for attempt in report.attempts:
            self._metrics.notifications.labels(attempt.channel.value, attempt.outcome.value).inc()
            self._tell_attempt(attempt)
        if report.withdrawn:
            log.warning("delivery.withdrawn", extra={"messages": report.withdrawn})
        # a tick that tried nothing says nothing of what went wrong before
        if report.faults and report.faults != self._faults:
            for fault in report.faults:
                log.error("delivery.fault", extra={"error": fault})
        if report.faults or report.attempts:
            self._faults = report.faults

    def _tell_changes(self, report: PollReport) -> None:
        failed = {error.wallet: error for error in report.errors}
        new = [error for name, error in failed.items() if self._unreadable.get(name) is not error.kind]
        back = [
            result.wallet
            for result in report.results
            if result.wallet not in failed and self._unreadable.pop(result.wallet, None) is not None
        ]
        self._unreadable.update((error.wallet, error.kind) for error in new)
        for (account, kind), errors in _by_fault(new).items():
            log.warning(
                "wallet.unreadable",
                extra={
                    "account": account,
                    "kind": kind.value,
                    "wallets": len(errors),
                    "error": errors[0].message,
                },
            )
        if back:
            log.info("wallet.readable_again", extra={"wallets": len(back), "wallet": back[0]})

    def _tell_attempt(self, attempt: Attempt) -> None:
        fields = {
            "channel": attempt.channel.value,
            "destination": attempt.destination,
            "delivery": attempt.delivery_id,
            "alert": attempt.alert_id,
            "attempt": attempt.number,
            "outcome": attempt.outcome.value,
        }
        where = (attempt.channel.value, attempt.destination)
        if not isinstance(attempt.outcome, ChannelErrorKind):
            self._refusals.pop(where, None)
            log.info("delivery.tried", extra=fields)
        elif self._refusals.get(where) is not attempt.outcome:
            self._refusals[where] = attempt.outcome
            log.warning("delivery.failed", extra=fields | {"error": attempt.message})
        if attempt.may_stand_twice:
            log.warning("delivery.may_stand_twice", extra=fields)


def _by_fault(errors: Iterable[SourceError]) -> dict[tuple[str, SourceErrorKind], list[SourceError]]:
    groups = defaultdict(list)
    for error in errors:
        groups[account_of(error.wallet), error.kind].append(error)
    return groups
