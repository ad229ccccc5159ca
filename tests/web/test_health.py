"""Health and metrics endpoints need no log-in."""

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import pytest

from balancebot.config import Secret, WebConfig
from balancebot.domain.user import Role
from balancebot.store import installation
from balancebot.store.database import Database
from tests.web.conftest import METRICS, NOW, Desk


def test_healthz_and_readyz_report_an_alive_and_ready_process(desk: Desk) -> None:
    with desk.world.database.write() as conn:
        installation.note(conn, installation.LAST_CYCLE, "", now=NOW)
    with desk.visitor() as visitor:
        assert 200 == visitor.get("/healthz").status_code
        assert 200 == visitor.get("/readyz").status_code


def test_readyz_names_what_is_not_ready(desk: Desk) -> None:
    with desk.visitor() as visitor:
        answer = visitor.get("/readyz")
        assert (503, "no poll cycle has ended yet\n") == (answer.status_code, answer.text)
        assert 200 == visitor.get("/healthz").status_code


def test_metrics_are_prometheus_text(desk: Desk) -> None:
    with desk.visitor() as visitor:
        answer = visitor.get("/metrics")
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    assert METRICS == answer.content


def test_metrics_and_readyz_may_require_a_token(open_desk: Callable[..., Desk]) -> None:
    web = WebConfig(public_url="http://127.0.0.1", metrics_token=Secret("prometheus"))
    with open_desk(web=web).visitor() as visitor:
        for path, status in (("/metrics", 200), ("/readyz", 503), ("/healthz", 200)):
            scraped = visitor.get(path, headers={"Authorization": "Bearer prometheus"})
            assert status == scraped.status_code
            for headers in (
                {},
                {"Authorization": "Bearer Prometheus"},
                {"Authorization": "Basic prometheus"},
            ):
                stranger = visitor.get(path, headers=headers)
                assert (401 if path != "/healthz" else 200) == stranger.status_code
                assert "outbox" not in stranger.text


@pytest.mark.parametrize("path", ["/healthz", "/login", "/", "/no-such-page", "/static/page.css", "/metrics"])
def test_every_answer_has_the_security_headers(desk: Desk, path: str) -> None:
    with desk.visitor() as visitor:
        headers = visitor.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert "'none'" == policy["default-src"]
    assert "'self'" == policy["script-src"] == policy["style-src"]
    assert "'none'" == policy["frame-ancestors"] == policy["base-uri"]
    assert "nosniff" == headers["x-content-type-options"]
    assert "DENY" == headers["x-frame-options"]
    assert "same-origin" == headers["referrer-policy"]
    assert "server" not in headers


def test_an_internal_error_has_the_security_headers(desk: Desk, open_desk: Callable[..., Desk]) -> None:
    class Broken(Database):
        """A database that raises an unexpected exception."""

        def __init__(self) -> None:
            pass

        def read(self) -> NoReturn:
            raise ZeroDivisionError

        def blamed_for(self, error: Exception) -> None:
            pass

    broken = open_desk(replace(desk.app, database=Broken()))
    with desk.visitor() as well, broken.visitor() as unwell:
        expected, answer = well.get("/readyz"), unwell.get("/readyz")
    assert 500 == answer.status_code
    for name in ("content-security-policy", "x-content-type-options", "x-frame-options", "cache-control"):
        assert expected.headers[name] == answer.headers[name]


def test_a_corrupt_row_is_status_503_and_one_line_that_names_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with desk.user(Role.VIEWER) as browser:
        desk.world.limit(critical_below=100)
        with desk.world.database.write() as conn:
            conn.exec_driver_sql("UPDATE thresholds SET warning_days = x'00ff'")
        answer = browser.get("/thresholds")
    assert 503 == answer.status_code
    (line,) = [record for record in caplog.records if record.getMessage() == "web.database"]
    assert "table thresholds, id 1: warning_days holds something else than a number" in line.error  # type: ignore[attr-defined]
    assert None is line.exc_info
