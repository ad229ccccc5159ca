"""Requests with any headers never get a 5xx."""

from collections.abc import Callable
from ipaddress import ip_network

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancebot.config import Secret, WebConfig
from tests.web.conftest import Desk

NAMES = (
    "Host", "Origin", "Referer", "Cookie", "Authorization", "Content-Type", "Accept", "Accept-Language",
    "If-Match", "HX-Request",
    "HX-Current-URL", "HX-Target", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-User", "Forwarded",
    "Range", "If-None-Match",
    "If-Modified-Since", "Sec-Fetch-Site", "Upgrade", "X-Request-Id", "Accept-Encoding",
)  # fmt: skip
HOSTILE_VALUES = (
    "http://[", "[::1", "//[", "a:99999999", "a:b:c", "Bearer", "Bearer \xff", "Basic !!!",
    "multipart/form-data", "a/b;charset=punycode",
    "text/html;q=nan", "zh-CN;q=9e999,*;q=-1", 'session="\\', "balancebot-session=" + "x" * 5000,
    "bytes=-1-", "for=_;by=[", '"*"', "W/",
    "1, 2, 3, unix:", "999.1.1.1", "::ffff:1.2.3.4%eth0", "\xff\xfe", "Thu, 99 Foo 99999", "%00", "null", "",
    ",", ";", "=",
)  # fmt: skip
VALUES = st.sampled_from(HOSTILE_VALUES) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
)
HEADERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)
PATHS = (
    "/", "/login", "/me", "/alerts", "/thresholds", "/api/v1/balances", "/metrics", "/readyz", "/static/page.css",
    "/no-such",
)  # fmt: skip


@pytest.fixture
def trusting(open_desk: Callable[..., Desk]) -> Desk:
    """Pages that trust a proxy on this machine."""
    web = WebConfig(
        public_url="http://127.0.0.1",
        metrics_token=Secret("prometheus"),
        user_header="X-Forwarded-User",
        trusted_proxies=(ip_network("127.0.0.1"),),
    )
    return open_desk(web=web)


@settings(max_examples=40)
@given(
    headers=HEADERS,
    path=st.sampled_from(PATHS),
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE"]),
)
def test_any_header_is_answered(trusting: Desk, headers: dict[str, str], path: str, method: str) -> None:
    raw = [(name.encode(), value.strip().encode("latin-1")) for name, value in headers.items()]
    with trusting.visitor() as visitor:
        request = visitor.build_request(method, path)
        request.headers = httpx.Headers(
            [*(pair for pair in request.headers.raw if pair[0].decode().title() not in headers), *raw]
        )
        answer = visitor.send(request)
    assert answer.status_code < 500 or path == "/readyz", (answer.status_code, answer.text)
