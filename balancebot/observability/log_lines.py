"""Log lines, as JSON or text: a stable event name and its fields.

None ever holds a secret: those are a type whose face is stars, a traceback shows no values, and libraries that log
addresses are kept quiet.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from balancebot.settings import Log, LogFormat

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TALKATIVE = ("aiohttp", "alembic", "asyncio", "httpcore", "httpx", "slack_sdk", "uvicorn")
"""Libraries whose INFO is noise, or an address with a secret in it."""
_GRUMBLING = ("apscheduler",)
"""Libraries that warn of what is meant: a tick that finds the last one at work is skipped."""


def set_up_logging(log: Log, stream: TextIO | None = None) -> None:
    """Send log lines to `stream` (default: stderr) as `log` says, for the whole process."""
    stream = stream or sys.stderr
    as_text = log.format is LogFormat.TEXT or (log.format is LogFormat.AUTO and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLine() if as_text else JsonLine())
    logging.basicConfig(handlers=[handler], level=log.level.value.upper(), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _GRUMBLING:
        logging.getLogger(name).setLevel(logging.ERROR)


class JsonLine(logging.Formatter):
    """One JSON object a line: `at`, `level`, `event`, then the line's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": _at(record).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if trace := _trace(self, record):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLine(logging.Formatter):
    """`2026-11-23 09:55:00 info poll.cycle wallets=12 failed=0`, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it where there is one."""
        fields = [f"{name}={_plain(value)}" for name, value in _fields(record).items()]
        words = [f"{_at(record):%Y-%m-%d %H:%M:%S}", record.levelname.lower(), record.getMessage(), *fields]
        trace = _trace(self, record)
        return " ".join(words) + (f"\n{trace}" if trace else "")


def _at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES}


def _plain(value: object) -> str:
    """Write a value on one line; quoted where it would read as more than one word."""
    text = str(value)
    return (
        text
        if text and text.isprintable() and not set(text) & set(' "=')
        else json.dumps(text, ensure_ascii=False)
    )


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
