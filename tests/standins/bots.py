"""A stand-in for the services of posting channels: it checks signatures, rate limits and sizes, and records the messages."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit  # noqa: TID251 -- a test may fail by what it raises

SECRET = "SEC-of-the-bot"
KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
PENALTY = timedelta(minutes=10)


@dataclass
class Taken:
    """A message that a service accepted."""

    at: datetime
    document: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Service:
    """A service at one address. `now` is its clock; `per_minute` is its rate limit."""

    kind: str
    now: Callable[[], datetime]
    per_minute: int = 1000
    url: str = ""
    taken: list[Taken] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    closed_until: datetime | None = None

    def answer(self, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> tuple[int, object]:
        """Accept or refuse a request, with an answer like that of the service."""
        document = json.loads(body)
        fault = getattr(self, f"_{self.kind}")(query, headers, body, document)
        fault = fault or self._too_many()
        if fault is None:
            self.taken.append(Taken(self.now(), document, headers))
            return (
                (202, {"status": "success"}) if self.kind == "pagerduty" else (200, {"code": 0, "errcode": 0})
            )
        self.refused.append(fault)
        return {
            "feishu": (200, {"code": 19021, "msg": fault}),
            "dingtalk": (200, {"errcode": 130101 if fault == "too fast" else 310000, "errmsg": fault}),
            "wecom": (200, {"errcode": 45009 if fault == "too fast" else 93000, "errmsg": fault}),
            "webhook": (401, {"error": fault}),
            "pagerduty": (400, {"status": "invalid event", "message": fault}),
            "apprise": (500, {}),
        }[self.kind]

    def _too_many(self) -> str | None:
        now = self.now()
        if self.closed_until is not None and now < self.closed_until:
            return "too fast"
        lately = [taken for taken in self.taken if taken.at > now - timedelta(minutes=1)]
        if len(lately) >= self.per_minute:
            self.closed_until = now + PENALTY
            return "too fast"
        return None

    def _is_fresh(self, seconds: float) -> bool:
        return abs(self.now().timestamp() - seconds) < 3600

    def _feishu(self, query, headers, body, document) -> str | None:
        stamp = document["timestamp"]
        if not self._is_fresh(int(stamp)) or document["sign"] != signature(
            f"{stamp}\n{SECRET}".encode(), b""
        ):
            return "sign match fail or timestamp is not within one hour from current time"
        return None if len(body) <= 20_000 else "request trigger body too large"

    def _dingtalk(self, query, headers, body, document) -> str | None:
        (stamp,), (sign,) = query["timestamp"], query["sign"]
        if not self._is_fresh(int(stamp) / 1000) or sign != signature(
            SECRET.encode(), f"{stamp}\n{SECRET}".encode()
        ):
            return "sign not match"
        return None if len(body) <= 20_000 else "message too long"

    def _wecom(self, query, headers, body, document) -> str | None:
        content = document[document["msgtype"]]["content"]
        most = {"markdown": 4096, "text": 2048}[document["msgtype"]]
        return None if len(content.encode()) <= most else "content size out of limit"

    def _webhook(self, query, headers, body, document) -> str | None:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = f"v1,{signature(base64.b64decode(KEY.removeprefix('whsec_')), signed)}"
        return None if expected == headers["webhook-signature"] else "no such signature"

    def _pagerduty(self, query, headers, body, document) -> str | None:
        if document["routing_key"] != SECRET:
            return "Invalid routing key"
        if document["event_action"] == "trigger":
            payload = document["payload"]
            if not {"summary", "source", "severity"} <= payload.keys() or len(payload["summary"]) > 1024:
                return "'payload' is invalid"
        return None if document["dedup_key"] else "'dedup_key' is missing"

    def _apprise(self, query, headers, body, document) -> str | None:
        return None if {"title", "message"} <= document.keys() else "not from Apprise"


def signature(key: bytes, text: bytes) -> str:
    """Return the HMAC-SHA256 of a text in base64."""
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """Run a service on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = {name.lower(): value for name, value in self.headers.items()}
            status, document = service.answer(parse_qs(urlsplit(self.path).query), received, body)
            answer = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        scheme = "json" if service.kind == "apprise" else "http"
        service.url = f"{scheme}://127.0.0.1:{server.server_port}/hook?access_token=HIDDEN"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()
