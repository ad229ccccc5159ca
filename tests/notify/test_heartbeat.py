"""The heartbeat sends one request to its URL, and reports failures without showing the URL."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

from balancebot.config import Proxy, Secret
from balancebot.notify.heartbeat import Heartbeat

_DIRECT = Proxy(url=None)


@contextmanager
def _watcher(status: int) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every GET with `status`; yield its URL and the requested paths."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ping/hidden", asked
        server.shutdown()
        thread.join()


def _beat(url: str) -> str:
    return Heartbeat(Secret(url), proxy=_DIRECT, timeout=timedelta(seconds=2)).beat()


def test_a_heartbeat_is_one_get_request() -> None:
    with _watcher(200) as (url, asked):
        assert "" == _beat(url)
    assert ["/ping/hidden"] == asked


def test_a_refusal_is_reported_with_its_status_and_a_redirect_is_not_followed() -> None:
    for status in (404, 500, 302):
        with _watcher(status) as (url, asked):
            assert f"the heartbeat was answered with {status}" == _beat(url)
        assert ["/ping/hidden"] == asked


def test_an_unreachable_server_is_reported_without_its_address() -> None:
    with _watcher(200) as (url, _):
        pass
    message = _beat(url)
    assert message.startswith("the heartbeat can't be reached: ")
    assert "hidden" not in message
