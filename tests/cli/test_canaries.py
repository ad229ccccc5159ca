"""Seeded secrets appear nowhere: not in output of commands, errors of servers that echo them, log, database or backup."""

import base64
import binascii
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Outcome
from tests.cli.daemon import running, until
from tests.cli.firm import CHECKOUT, Firm
from tests.patience import PATIENCE

Run = Callable[..., Outcome]
CANARIES = {
    kind: f"cAnArY{number:02}+{kind}/Zq9=x"
    for number, kind in enumerate(
        (
            "feishu-url", "feishu-secret", "dingtalk-url", "dingtalk-secret", "wecom-url", "webhook-url",
            "webhook-key", "pagerduty-key", "heartbeat", "metrics-token", "web-secret-key", "oidc-secret", "proxy-password",
            "database-password", "user-password", "api-token",
        )
    )
}  # fmt: skip


class _Echo(BaseHTTPRequestHandler):
    """A server that refuses every request and repeats it in the answer."""

    status = 400

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        received = (
            f"{urllib.parse.unquote(self.path)} {self.path} {self.headers} {body.decode(errors='replace')}"
        )
        answer = json.dumps(
            {"errcode": 310000, "code": 19021, "errmsg": received, "msg": received, "message": received}
        )
        self.send_response(self.status, "no")
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    do_GET = do_POST  # noqa: N815 -- the same

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=[200, 400, 500])
def echo(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Echo", (_Echo,), {"status": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def in_path(kind: str) -> str:
    return urllib.parse.quote(CANARIES[kind], safe="")


@pytest.fixture
def seeded(firm: Firm, echo: str) -> Firm:
    """A company with every kind of secret, whose channels all refuse and echo what they are sent."""
    found = CANARIES
    firm.also(f"""
[[channels]]
name = "ops-feishu"
kind = "feishu"
url = "{echo}/hook/{in_path("feishu-url")}"
secret = "{found["feishu-secret"]}"
default = true
[[channels]]
name = "ops-ding"
kind = "dingtalk"
url = "{echo}/send?access_token={in_path("dingtalk-url")}"
secret = "{found["dingtalk-secret"]}"
default = true
[[channels]]
name = "ops-wecom"
kind = "wecom"
url = "{echo}/send?key={in_path("wecom-url")}"
default = true
[[channels]]
name = "hook"
kind = "webhook"
url = "{echo}/{in_path("webhook-url")}"
secret = "{found["webhook-key"]}"
default = true
[[channels]]
name = "pager"
kind = "pagerduty"
url = "{echo}/enqueue"
secret = "{found["pagerduty-key"]}"
default = true
[heartbeat]
url = "{echo}/ping/{in_path("heartbeat")}"
[web]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1:8080"
secret_key = "{found["web-secret-key"]}-and-some-more-characters"
metrics_token = "{found["metrics-token"]}"
[web.oidc]
issuer = "{echo}"
client_id = "balancebot"
client_secret = "{found["oidc-secret"]}"
[log]
level = "debug"
""")
    return firm


def shown(text: str) -> set[str]:
    """Return which canaries are in `text`: plain, reversed, URL-encoded, in hexadecimal, or in base64 at any offset."""
    found = set()
    for kind, secret in CANARIES.items():
        raw = secret.encode()
        forms = {
            secret,
            secret[:12],
            secret[::-1],
            urllib.parse.quote(secret, safe=""),
            urllib.parse.quote_plus(secret),
            binascii.hexlify(raw).decode(),
        }
        for offset in range(3):
            # without the ends, which depend on the neighbouring bytes
            encoded = base64.b64encode(b"\0" * offset + raw).decode()
            forms |= {encoded[4:-4], base64.urlsafe_b64encode(b"\0" * offset + raw).decode()[4:-4]}
        if any(form in text for form in forms):
            found.add(kind)
    return found


def test_no_secret_of_a_channel_or_the_pages_appears_anywhere(
    seeded: Firm, balancebot: Run, tmp_path: Path
) -> None:
    seeded.has(50)
    balance = f"{CHECKOUT}:industry"
    commands = [
        ("thresholds", "set", str(CHECKOUT), "industry", "--critical-below", "1000"),
        ("check",),
        ("poll",),
        ("poll",),
        ("notify", "test"),
        *(
            ("notify", "test", "--channel", name)
            for name in ("ops-feishu", "ops-ding", "ops-wecom", "hook", "pager")
        ),
        ("status",),
        ("status", "--json"),
        ("alerts", "list", "--json"),
        ("why", balance),
        ("deliveries", "list", "--all"),
        ("deliveries", "list", "--all", "--json"),
        ("config", "reference"),
        ("db", "backup", str(tmp_path / "backup.db")),
        ("db", "check"),
        ("tokens", "list"),
        ("users", "list"),
    ]
    for command in commands:
        outcome = balancebot(*command)
        assert "Traceback" not in outcome.err, command
        output = outcome.out + outcome.err
        found = shown(output)
        assert (command, set(), "") == (command, found, output if found else "")
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file != seeded.config]
    assert {tmp_path / "backup.db"} <= set(files)
    for file in files:
        assert (file.name, set()) == (file.name, shown(file.read_bytes().decode("latin-1")))
    in_channels = json.dumps(seeded.slack.messages("ops-alerts"), ensure_ascii=False)
    in_channels += "".join(str(mail.message) for mail in seeded.mail.mails)
    assert set() == shown(in_channels)


def test_an_api_token_is_printed_once_and_stored_only_as_a_hash(
    seeded: Firm, balancebot: Run, tmp_path: Path
) -> None:
    token = balancebot("tokens", "add", "ci", "--role", "viewer").out.split()[-1]
    assert 20 < len(token)
    output = balancebot("tokens", "list").out + balancebot("tokens", "list", "--json").out
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("balancebot.db*"))
    assert token not in output
    assert token.encode() not in stored
    assert base64.b64encode(token.encode())[4:-4] not in stored


@pytest.mark.slow
@pytest.mark.parametrize("echo", [400], indirect=True)
def test_a_running_daemon_shows_no_secret_on_its_pages_in_the_api_or_in_its_log(
    seeded: Firm, balancebot: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channels refuse everything and echo it; then a broken configuration is loaded."""
    monkeypatch.setattr("sys.stdin", StringIO(f"{CANARIES['user-password']}\n"))
    assert 0 == balancebot("users", "add", "root", "--role", "admin").status
    token = balancebot("tokens", "add", "ci", "--role", "finance").out.split()[-1]
    balancebot("thresholds", "set", str(CHECKOUT), "industry", "--critical-below", "1000")
    seeded.has(50)
    seen: dict[str, str] = {}
    with (
        running(tmp_path) as process,
        httpx.Client(base_url=process.address(), trust_env=False, timeout=PATIENCE) as client,
    ):
        until(lambda: sum(line["event"] == "delivery.failed" for line in process.lines()) >= 5)
        answer = client.post("/login", data={"name": "root", "password": CANARIES["user-password"]})
        assert 303 == answer.status_code, answer.text
        bearer = {"Authorization": f"Bearer {token}"}
        metrics = {"Authorization": f"Bearer {CANARIES['metrics-token']}"}

        def look() -> None:
            for path in PATHS:
                by_program = bearer if path.startswith("/api/") else metrics if path in MACHINES else None
                page = client.get(path, headers=by_program)
                assert page.status_code < 500 or path == "/readyz", path
                seen[path] = seen.get(path, "") + page.text + str(page.headers)

        look()
        wrong = {"name": "root", "password": CANARIES["api-token"]}
        seen["/login"] = client.post("/login", data=wrong).text
        for kind, broken in BROKEN.items():
            text = seeded.config.read_text()
            seeded.config.write_text(broken.format(**CANARIES) + text)
            outcome = balancebot("reload")
            assert (kind, 2) == (kind, outcome.status)
            seen[f"reload {kind}"] = outcome.out + outcome.err
            seen[f"check {kind}"] = str(balancebot("check"))
            look()
            seeded.config.write_text(text)
        assert 0 == process.end()
    seen["log"] = (tmp_path / "log").read_text()
    for file in tmp_path.rglob("*.db*"):
        seen[file.name] = file.read_bytes().decode("latin-1")
    assert "delivery.failed" in seen["log"]
    assert {} == {place: shown(text) for place, text in seen.items() if shown(text)}
    assert [] == [place for place, text in seen.items() if token in text]


MACHINES = ("/metrics", "/readyz")
PATHS = (
    *MACHINES, "/healthz", "/", f"/wallets/{CHECKOUT}", "/alerts", "/alerts/1", "/thresholds", "/audit", "/channels",
    "/orders", "/plans", "/users", "/me", "/login", "/api/v1/openapi.json", "/api/v1/balances", "/api/v1/alerts",
    "/api/v1/silences", "/api/v1/thresholds", "/api/v1/orders", f"/api/v1/history?wallet={CHECKOUT}&category=industry",
)  # fmt: skip
BROKEN = {
    "a database of another kind": '[database]\nurl = "mysql://u:{database-password}@h/db"\n',
    "an @ in the password": '[database]\nurl = "postgresql://u:{database-password}@x@h/db"\n',
    "a proxy of another kind": '[poll]\nproxy = "gopher://u:{proxy-password}@h:1"\n',
    "no toml": '[poll]\nproxy = "{proxy-password}\n',
}
