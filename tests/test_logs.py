"""Log lines have a stable event and fields, and no secret."""

import io
import json
import logging

import pytest

from balancebot.config import LogConfig, LogFormat, LogLevel, Secret
from balancebot.logs import set_up_logging
from balancebot.redact import Redactor
from tests.hostile_text import HOSTILE_TEXTS, INVISIBLE

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


def _logged(log: LogConfig) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    set_up_logging(log, stream)
    return logging.getLogger("balancebot.here"), stream


def test_a_json_line_has_the_event_and_its_fields() -> None:
    log, stream = _logged(LogConfig(format=LogFormat.JSON))
    log.info("poll.cycle", extra={"wallets": 12, "failed": 0})
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("Z")
    assert {"level": "info", "event": "poll.cycle", "wallets": 12, "failed": 0} == line


def test_a_text_line_quotes_values_with_spaces() -> None:
    log, stream = _logged(LogConfig(format=LogFormat.TEXT))
    log.warning("poll.failed", extra={"wallet": "acme/check out", "kind": "timeout"})
    assert 'warning poll.failed wallet="acme/check out" kind=timeout\n' == stream.getvalue()[20:]


def test_the_automatic_format_is_json_without_a_terminal() -> None:
    log, stream = _logged(LogConfig())
    log.info("started")
    assert "started" == json.loads(stream.getvalue())["event"]


def test_a_line_below_the_level_is_not_written() -> None:
    log, stream = _logged(LogConfig(level=LogLevel.WARNING))
    log.info("poll.cycle")
    assert "" == stream.getvalue()


def test_no_library_logs_requested_urls() -> None:
    _, stream = _logged(LogConfig(level=LogLevel.DEBUG))
    logging.getLogger("httpx").info("HTTP Request: GET https://example.com/ping/secret")
    assert "" == stream.getvalue()


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_neither_a_field_nor_a_traceback_shows_a_secret(form: LogFormat) -> None:
    log, stream = _logged(LogConfig(format=form))
    token = Secret("xoxb-hidden")
    try:
        raise ValueError(f"refused {token}")
    except ValueError:
        log.exception("slack.refused", extra={"token": token})
    assert "ValueError: refused ***" in stream.getvalue()
    assert "hidden" not in stream.getvalue()


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_a_secret_repeated_by_a_server_is_hidden_in_the_event_the_fields_and_the_traceback(
    form: LogFormat,
) -> None:
    stream = io.StringIO()
    set_up_logging(LogConfig(format=form), stream, redact=Redactor(["canary-password"]))
    log = logging.getLogger("balancebot.here")
    try:
        raise ValueError("it said canary-password")
    except ValueError:
        log.exception(
            "told of canary-password", extra={"error": ["535 canary-password"], "num": 7, "wallet": "acme"}
        )
    assert "canary" not in stream.getvalue()
    assert 4 == stream.getvalue().count("***")
    if form is LogFormat.JSON:
        line = json.loads(stream.getvalue())
        assert ("told of ***", ["535 ***"], 7, "acme") == (
            line["event"],
            line["error"],
            line["num"],
            line["wallet"],
        )


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
@pytest.mark.parametrize("hostile", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_hostile_text_stays_on_one_line(form: LogFormat, hostile: str) -> None:
    log, stream = _logged(LogConfig(format=form))
    log.warning(hostile, extra={"wallet": hostile, "error": hostile})
    line = stream.getvalue()
    assert (1, set()) == (line.count("\n"), set(INVISIBLE) & set(line))
    line.encode()
