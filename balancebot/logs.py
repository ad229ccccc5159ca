"""Log lines, as JSON or text, with a stable event name; and `Reporter`, which logs poll cycles and deliveries."""

import json
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from balancebot.config import LogConfig, LogFormat
from balancebot.domain.balance import WalletName, account_of
from balancebot.domain.sentence import visible, without_marks
from balancebot.metrics import READ, Metrics
from balancebot.notify.queue import AttemptReport, DeliverReport
from balancebot.poll.cycle import PollReport
from balancebot.ports import ChannelErrorKind, SourceError, SourceErrorKind
from balancebot.redact import NO_REDACTOR

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOISY_AT_INFO = ("aiohttp", "alembic", "asyncio", "httpcore", "httpx", "slack_sdk", "uvicorn")
"""Libraries whose INFO lines are noise, or contain addresses with secrets."""
_NOISY_AT_WARNING = ("apscheduler",)
"""Libraries that warn of intended behaviour: a tick is skipped while the last one is running."""


def set_up_logging(
    log: LogConfig, stream: TextIO | None = None, *, redact: Callable[[str], str] = NO_REDACTOR
) -> None:
    """Set up logging for the whole process: to `stream` (default: stderr), as in `log`; `redact` hides secrets."""
    stream = stream or sys.stderr
    as_text = log.format is LogFormat.TEXT or (log.format is LogFormat.AUTO and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLine(redact) if as_text else JsonLine(redact))
    logging.basicConfig(handlers=[handler], level=log.level.value.upper(), force=True)
    for name in _NOISY_AT_INFO:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _NOISY_AT_WARNING:
        logging.getLogger(name).setLevel(logging.ERROR)


class _LogLine(logging.Formatter):
    """The parts of a line, without secrets."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def _event(self, record: logging.LogRecord) -> str:
        return without_marks(self._redact(record.getMessage()))

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        return {
            name: self._redacted(value) for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES
        }

    def _trace(self, record: logging.LogRecord) -> str:
        return (
            visible(self._redact(self.formatException(record.exc_info)))
            if record.exc_info and record.exc_info[0]
            else ""
        )

    def _redacted(self, value: object) -> object:
        match value:
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {str(name): self._redacted(item) for name, item in value.items()}
            case list() | tuple():
                return [self._redacted(item) for item in value]
            case _:
                return visible(self._redact(str(value)))


class JsonLine(_LogLine):
    """One JSON object per line: `at`, `level`, `event`, then the line's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": _at(record).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": self._event(record),
            **self._fields(record),
        }
        if trace := self._trace(record):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False)


class TextLine(_LogLine):
    """`2026-11-23 09:55:00 info poll.cycle wallets=12 failed=0`, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        fields = [f"{name}={_plain(value)}" for name, value in self._fields(record).items()]
        words = [f"{_at(record):%Y-%m-%d %H:%M:%S}", record.levelname.lower(), self._event(record), *fields]
        trace = self._trace(record)
        return " ".join(words) + (f"\n{trace}" if trace else "")


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _plain(value: object) -> str:
    """Return a value on one line, in quotes if it would look like more than one word."""
    text = str(value)
    return (
        text
        if text and text.isprintable() and not set(text) & set(' "=')
        else json.dumps(text, ensure_ascii=False)
    )


log = logging.getLogger("balancebot")


class Reporter:
    """Logs and counts the results of poll cycles and deliveries. A lasting failure is logged once. Thread-safe."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._unreadable: dict[WalletName, SourceErrorKind] = {}
        self._refusals: dict[tuple[str, str], ChannelErrorKind] = {}
        self._faults: tuple[str, ...] = ()

    def polled(self, report: PollReport) -> None:
        """Log and count one poll cycle."""
        for result in report.results:
            outcome = result.kind.value if isinstance(result, SourceError) else READ
            self._metrics.polls.labels(outcome).inc()
        self._metrics.poll_duration.observe(report.seconds)
        self._log_changes(report)
        for notified in report.notified:
            subject = notified.subject
            log.info(
                f"alert.{notified.reason}",
                extra={
                    "kind": subject.kind.value,
                    "wallet": subject.wallet,
                    "category": subject.category,
                    "severity": notified.severity.word,
                },
            )
        for fault in report.faults:
            log.error("poll.not_kept", extra={"error": str(fault)})
        log.info(
            "poll.cycle",
            extra={
                "wallets": len(report.results),
                "failed": len(report.errors),
                "notified": len(report.notified),
                "seconds": round(report.seconds, 3),
            },
        )

    def delivered(self, report: DeliverReport) -> None:
        """Log and count the deliveries that were tried."""
        for attempt in report.attempts:
            self._metrics.notifications.labels(attempt.channel, attempt.outcome.value).inc()
            self._log_attempt(attempt)
        if report.deleted:
            log.warning("delivery.duplicate_deleted", extra={"messages": report.deleted})
        # a tick that tried nothing doesn't show that earlier faults have ended
        if report.faults and report.faults != self._faults:
            for fault in report.faults:
                log.error("delivery.fault", extra={"error": fault})
        if report.faults or report.attempts:
            self._faults = report.faults

    def _log_changes(self, report: PollReport) -> None:
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
                    "error": str(errors[0].message),
                },
            )
        if back:
            log.info("wallet.readable_again", extra={"wallets": len(back), "wallet": back[0]})

    def _log_attempt(self, attempt: AttemptReport) -> None:
        fields = {
            "channel": attempt.channel,
            "destination": attempt.destination,
            "delivery": attempt.delivery_id,
            "alert": attempt.alert_id,
            "attempt": attempt.number,
            "outcome": attempt.outcome.value,
        }
        where = (attempt.channel, attempt.destination)
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
