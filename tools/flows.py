"""Counts the cost of six flows of balancebot and the size of the package, as a table for comparison before and after.

    python tools/flows.py [--json] [--root DIR]

The flows run in a temporary folder on SQLite, against a JSMS server of this file and the Slack stand-in of the tests.
Each flow is run once before it is measured, so that imports, first connections and channel look-ups aren't counted. The
counts are:

- SQL statements sent to the database (an executemany is one; BEGIN and COMMIT are not), and transactions,
- files of balancebot/ in which a function was called, on any thread, and these functions,
- frozen dataclasses of balancebot of which a value was made by its constructor.

Everything that depends on balancebot's structure is in `open_app` and `balancebot`: a reorganisation changes only
those.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, ClassVar

import httpx
from sqlalchemy import Engine, event

# ---------------------------------------------------------------- the used parts of balancebot


@dataclass(frozen=True, kw_only=True)
class RunningApp:
    """A running balancebot with its pages but without a scheduler: this program starts the flows."""

    poll: Callable[[], object]
    """Poll the wallets that are due, as the daemon's job does."""
    deliver: Callable[[], object]
    """Start to send the outbox, as the daemon's job does; may return before everything is sent."""
    heartbeat: Callable[[], object]
    """Record that this process is alive."""
    listening: Callable[[], contextlib.AbstractContextManager[None]]
    """Listen to Slack's Socket Mode in a block; otherwise its pings would be counted with other flows."""
    address: str
    """The address of the pages."""
    close: Callable[[], object]


def open_app(config: Path, clock: "Clock") -> RunningApp:
    """Build the parts that `balancebot run` runs."""
    from balancebot.app import build_app
    from balancebot.config import load
    from balancebot.notify.slack.listener import slack_app_of
    from balancebot.store.database import Database
    from balancebot.web.app import create_pages
    from balancebot.web.server import serve

    settings = load(config, environ={}, resolve_secrets=True)
    app = build_app(settings, Database(settings.database.url.reveal()), clock=clock)
    presence = app.worker_heartbeat("run")
    presence.show()
    app.sync_wallets()
    server = serve(create_pages(app, metrics=bytes), host="127.0.0.1", port=0)

    @contextlib.contextmanager
    def listening() -> Iterator[None]:
        listener = slack_app_of(app, on_done=lambda: None)
        listener.start()
        yield
        listener.stop(timedelta(seconds=5))

    def close() -> None:
        server.stop()
        app.close()

    return RunningApp(
        poll=app.poll_cycle.run_due,
        deliver=app.deliver_outbox.tick,
        heartbeat=presence.show,
        listening=listening,
        address=f"http://127.0.0.1:{server.port}",
        close=close,
    )


def balancebot(*words: str, stdin: str = "") -> str:
    """Run a command in this process, in the current folder; return its output."""
    from balancebot.cli import main

    out = io.StringIO()
    before, sys.stdin = sys.stdin, io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out):
            status = main(words)
    finally:
        sys.stdin = before
    if status:
        raise SystemExit(f"balancebot {' '.join(words)}: exit status {status}")
    return out.getvalue()


def slack_stand_in() -> Any:
    """Return the Slack workspace of the tests."""
    from tests.standins.slack_api import SlackStandIn

    return SlackStandIn()


# ---------------------------------------------------------------- the counts


@dataclass(kw_only=True)
class Count:
    """The counts of one flow."""

    sql: list[str] = field(default_factory=list)
    num_transactions: int = 0
    functions: set[CodeType] = field(default_factory=set)
    value_types: set[str] = field(default_factory=set)

    def files(self, package: Path) -> list[str]:
        """Return the files in which functions were called, relative to the package."""
        return sorted({str(Path(code.co_filename).relative_to(package)) for code in self.functions})


_REST = 0.5
"""A flow has ended when no function of balancebot was called for this time, in seconds."""


class Recorder:
    """Observes every call and every statement of threads that start after `install`; counts them inside `counting`."""

    def __init__(self, package: Path) -> None:
        self._prefix = f"{package}{os.sep}"
        self._count: Count | None = None
        self._last_call = 0.0

    def install(self) -> None:
        """Start to observe this thread and those that start later."""
        event.listen(Engine, "before_cursor_execute", self._on_statement)
        event.listen(Engine, "begin", self._on_begin)
        threading.setprofile(self._on_call)
        sys.setprofile(self._on_call)

    @contextlib.contextmanager
    def counting(self) -> Iterator[Count]:
        """Count until the end of the block and until balancebot is idle."""
        self._count = count = Count()
        yield count
        self._last_call = time.monotonic()
        while (rest := _REST - (time.monotonic() - self._last_call)) > 0:
            time.sleep(rest)
        self._count = None

    def _on_call(self, frame: FrameType, kind: str, _: object) -> None:
        if kind != "call":
            return
        code, count = frame.f_code, self._count
        if code.co_filename.startswith(self._prefix):
            self._last_call = time.monotonic()
            if count is not None and code.co_flags & CO_OPTIMIZED:  # not a module or a class body
                count.functions.add(code)
        elif count is not None and code.co_name == "__init__" and code.co_filename == "<string>":
            made = type(frame.f_locals.get(code.co_varnames[0]))
            settings = getattr(made, "__dataclass_params__", None)
            if settings is not None and settings.frozen and made.__module__.startswith("balancebot"):
                count.value_types.add(f"{made.__module__}.{made.__qualname__}")

    def _on_statement(self, _: object, __: object, statement: str, *___: object) -> None:
        count = self._count
        if count is not None and not statement.startswith("BEGIN"):
            count.sql.append(re.sub(r"\s+", " ", statement)[:300])

    def _on_begin(self, _: object) -> None:
        count = self._count
        if count is not None:
            count.num_transactions += 1


# ---------------------------------------------------------------- the environment


class Clock:
    """Shows the time to which it was set. It starts after all times that commands wrote from the machine's clock."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(minute=10, second=0, microsecond=0) + timedelta(hours=2)

    def now(self) -> datetime:
        """Return the time."""
        return self.at


class Jsms(BaseHTTPRequestHandler):
    """Answers for one app with `balances`."""

    protocol_version = "HTTP/1.1"
    balances: ClassVar[dict[str, int]] = {}
    """For the categories in use; the others are unallocated."""

    def do_GET(self) -> None:
        """Answer a request for the balances."""
        if b64decode(self.headers["Authorization"].removeprefix("Basic ")) != b"key:secret":
            raise ValueError("JSMS is asked with other keys than those of the configuration")
        fields = {
            f"app_{kind}": self.balances.get(kind) for kind in ("balance", "voice", "industry", "market")
        }
        body = json.dumps(fields).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


_LIMITS = {"industry": 50_000, "market": 30_000}
_PER_HOUR = {"industry": 100, "market": 60}
_PASSWORD = "a long enough password"
_WALLET = "acme/shop"


def configure(folder: Path, jsms_url: str, slack: Any) -> Path:
    """Write the configuration of one wallet, import five weeks of history, set limits and add a user."""
    config = folder / "balancebot.toml"
    config.write_text(
        f"""\
timezone = "Asia/Shanghai"
[poll]
proxy = "direct"
[slack]
bot_token = "{slack.token}"
app_token = "{slack.app_token}"
channel = "#ops"
api_url = "{slack.api_url}"
proxy = "direct"
[web]
listen = "127.0.0.1:0"
secret_key = "a secret key that is long enough for this"
[[accounts]]
name = "acme"
base_url = "{jsms_url}"
apps = [{{ name = "shop", app_key = "key", master_secret = "secret" }}]
"""
    )
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = range(5 * 7 * 24, -1, -1)
    (folder / "history.csv").write_text(
        "observed_at,wallet,category,balance\n"
        + "".join(
            f"{(end - timedelta(hours=hour)).isoformat()},{_WALLET},{kind},{limit + 250 + hour * _PER_HOUR[kind]}\n"
            for hour in hours
            for kind, limit in _LIMITS.items()
        )
    )
    balancebot("db", "upgrade")
    balancebot("history", "import", "history.csv")
    for kind, limit in _LIMITS.items():
        balancebot("thresholds", "set", _WALLET, kind, "--warning-below", str(limit), "--note", "Buy more.")
    balancebot("users", "add", "finance", "--role", "finance", stdin=f"{_PASSWORD}\n")
    return config


def click(button: Mapping[str, Any], response_url: str, number: int) -> dict[str, Any]:
    """Return the message that Slack sends over Socket Mode when a user presses a button of a message."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U000ONCALL", "username": "oncall", "name": "oncall", "team_id": "T000"},
        "trigger_id": f"{number}.trigger",
        "channel": {"id": "C00000000", "name": "ops"},
        "container": {"type": "message", "channel_id": "C00000000"},
        "response_url": response_url,
        "actions": [
            {"action_id": button["action_id"], "action_ts": f"{number}.000001", "value": button["value"]}
        ],
    }
    return {
        "type": "interactive",
        "envelope_id": f"envelope-{number}",
        "accepts_response_payload": True,
        "payload": payload,
    }


def button_of(message: object, label: str) -> Mapping[str, Any]:
    """Return the button of a Slack message whose text contains `label`."""
    if isinstance(message, Mapping):
        if message.get("type") == "button" and label in message["text"]["text"]:
            return message
        message = list(message.values())
    if isinstance(message, list):
        for part in message:
            with contextlib.suppress(LookupError):
                return button_of(part, label)
    raise LookupError(label)


class FormReader(HTMLParser):
    """Collects the fields of the form for one address, as a browser would send them."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._action = action
        self._inside = False
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Collect a field."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("action") == self._action
        elif self._inside and tag in {"input", "textarea"} and given.get("name"):
            self.fields[given["name"]] = given.get("value", "")
            self._textarea = given["name"] if tag == "textarea" else ""

    def handle_data(self, data: str) -> None:
        """Collect the text of a text area."""
        if self._textarea:
            self.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        """End a form or a text area."""
        self._inside = self._inside and tag != "form"
        if tag == "textarea":
            self._textarea = ""


# ---------------------------------------------------------------- the flows


class Flows:
    """Runs each flow, measured or not."""

    def __init__(self, app: RunningApp, clock: Clock, slack: Any, recorder: Recorder) -> None:
        self._app = app
        self._clock = clock
        self._slack = slack
        self._recorder = recorder
        self._browser = httpx.Client(base_url=app.address, trust_env=False, timeout=30)
        answer = self._browser.post("/login", data={"name": "finance", "password": _PASSWORD})
        _expect(answer.status_code == 303, "the user cannot log in")
        self._numbers = iter(range(1, 1_000))

    def close(self) -> None:
        """Close connections."""
        self._browser.close()

    def poll(self, **balances: int) -> Count:
        """Poll the wallet five minutes after the last time; the given balances have changed."""
        self._clock.at += timedelta(minutes=5)
        for kind in _LIMITS:
            Jsms.balances[kind] = balances.get(kind, Jsms.balances[kind] - 3)
        self._app.heartbeat()
        with self._recorder.counting() as count:
            self._app.poll()
        return count

    def deliver(self) -> Count:
        """Send the outbox."""
        before = self._num_sent()
        with self._recorder.counting() as count:
            self._app.deliver()
            _wait(lambda: self._num_sent() > before, "nothing was sent to Slack")
        return count

    def _num_sent(self) -> int:
        return sum(call.method.startswith("chat.") for call in self._slack.calls)

    def acknowledge(self) -> Count:
        """Press the button under the newest message and wait for the answer that the user sees."""
        button = button_of(self._slack.messages("ops")[-1]["blocks"], "Acknowledge")
        envelope = click(button, self._slack.response_url, next(self._numbers))
        socket = self._slack.socket
        answers, sockets = len(socket.answers), socket.num_opened
        with self._app.listening():
            socket.wait_for_sockets(sockets + 1)
            with self._recorder.counting() as count:
                socket.deliver(envelope)
                socket.wait_for_answers(answers + 1)
        return count

    def edit_threshold(self, category: str, limit: int) -> Count:
        """Save another limit with the form on the page."""
        page = self._browser.get("/thresholds/edit", params={"wallet": _WALLET, "category": category})
        form = FormReader("/thresholds/save")
        form.feed(page.text)
        with self._recorder.counting() as count:
            answer = self._browser.post("/thresholds/save", data=form.fields | {"warning_below": str(limit)})
        _expect(answer.status_code == 303, "the limit was not saved")
        return count

    def wallet_page(self) -> Count:
        """Load the page of the wallet."""
        with self._recorder.counting() as count:
            answer = self._browser.get(f"/wallets/{_WALLET}")
        _expect(answer.status_code == 200, "there is no page of the wallet")
        return count

    def warm_up(self) -> None:
        """Run every flow once, through one whole alert, and leave no alert open."""
        for _ in range(2):
            self.poll()
        self.poll(industry=_LIMITS["industry"] - 10)
        self.deliver()
        self.acknowledge()
        self.deliver()
        self.edit_threshold("industry", _LIMITS["industry"] + 1)
        self.wallet_page()
        self.poll(industry=90_000)
        self.deliver()
        _expect(num_open_alerts() == 0, "the alert of the warm-up is still open")
        self._clock.at = self._clock.at.replace(minute=10) + timedelta(hours=1)
        for _ in range(2):  # the first poll closes an hour, which a usual poll doesn't
            self.poll()

    def measure(self) -> dict[str, Count]:
        """Return the counts of each flow, by name."""
        self.warm_up()
        counts = {"calm poll of one wallet": self.poll()}
        _expect(num_open_alerts() == 0, "the poll was not calm")
        counts["poll that opens an alert"] = self.poll(market=_LIMITS["market"] - 10)
        _expect(num_open_alerts() == 1, "the poll opened no alert")
        counts["Slack delivery"] = self.deliver()
        counts["Slack button (acknowledge)"] = self.acknowledge()
        counts["threshold edit (web)"] = self.edit_threshold("market", _LIMITS["market"] + 1)
        counts["wallet page (web)"] = self.wallet_page()
        return counts


def num_open_alerts() -> int:
    """Return how many alerts are open."""
    return len(json.loads(balancebot("alerts", "list", "--json"))["alerts"])


def measure_flows(package: Path) -> dict[str, Count]:
    """Run the flows in a temporary folder, which is the current folder meanwhile."""
    here = Path.cwd()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flows-")))
        stack.callback(os.chdir, here)
        os.chdir(folder)
        Jsms.balances = {kind: limit + 30 for kind, limit in _LIMITS.items()}
        server = ThreadingHTTPServer(("127.0.0.1", 0), Jsms)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        slack = stack.enter_context(slack_stand_in())
        slack.add_channel("ops")
        config = configure(folder, f"http://127.0.0.1:{server.server_port}", slack)
        recorder = Recorder(package)
        recorder.install()
        stack.callback(sys.setprofile, None)
        stack.callback(threading.setprofile, None)
        clock = Clock()
        app = open_app(config, clock)
        stack.callback(app.close)
        flows = Flows(app, clock, slack, recorder)
        stack.callback(flows.close)
        return flows.measure()


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"flows.py: {otherwise}")


def _wait(holds: Callable[[], bool], otherwise: str, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        _expect(time.monotonic() < until, otherwise)
        time.sleep(0.02)


# ---------------------------------------------------------------- the size of the package


def sizes(package: Path) -> dict[str, Any]:
    """Count files, lines, classes and imports inside functions of a package, without importing it."""
    num_files = num_lines = 0
    classes: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        num_files += 1
        num_lines += text.count("\n")
        nodes = list(ast.walk(ast.parse(text)))
        classes.update(node.name for node in nodes if isinstance(node, ast.ClassDef))
        inside = {
            part
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for part in ast.walk(node)
            if isinstance(part, ast.Import | ast.ImportFrom)
        }
        hidden[file.relative_to(package).parts[0]] += len(inside)
    return {
        "python_files": num_files,
        "lines": num_lines,
        "classes": classes.total(),
        "class_names": len(classes),
        "repeated_class_names": sorted(name for name, times in classes.items() if times > 1),
        "imports_in_functions": hidden.total(),
        "imports_in_functions_outside_cli": hidden.total() - hidden["cli"],
    }


# ---------------------------------------------------------------- the output


def as_markdown(counts: Mapping[str, Count], size: Mapping[str, Any], package: Path) -> str:
    """Return both tables as Markdown."""
    lines = [
        "| flow | SQL statements | transactions | files entered | functions entered | value types made |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {len(count.sql)} | {count.num_transactions} | {len(count.files(package))} "
            f"| {len(count.functions)} | {len(count.value_types)} |"
            for name, count in counts.items()
        ),
        "",
        "| balancebot/ | |",
        "| --- | ---: |",
        f"| Python files | {size['python_files']:,} |",
        f"| lines | {size['lines']:,} |",
        f"| classes | {size['classes']:,} |",
        f"| class names that occur more than once | {len(size['repeated_class_names'])} |",
        f"| imports inside functions | {size['imports_in_functions']:,} |",
        f"| of these outside cli/ | {size['imports_in_functions_outside_cli']:,} |",
    ]
    return "\n".join(lines)


def as_json(counts: Mapping[str, Count], size: Mapping[str, Any], package: Path) -> str:
    """Return both tables and the details of the counts as JSON."""
    flows = {
        name: {
            "sql_statements": len(count.sql),
            "transactions": count.num_transactions,
            "files_entered": len(count.files(package)),
            "functions_entered": len(count.functions),
            "value_types_made": len(count.value_types),
            "sql": count.sql,
            "files": count.files(package),
            "value_types": sorted(count.value_types),
        }
        for name, count in counts.items()
    }
    return json.dumps({"flows": flows, "package": size}, indent=1)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON that lists all that was counted")
    options.add_argument(
        "--root", type=Path, default=Path(__file__).parents[1], help="the repository to measure"
    )
    chosen = options.parse_args()
    root = chosen.root.resolve()
    sys.path.insert(0, str(root))
    package = root / "balancebot"
    size = sizes(package)
    counts = measure_flows(package)
    print((as_json if chosen.json else as_markdown)(counts, size, package))


if __name__ == "__main__":
    main()
