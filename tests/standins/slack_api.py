"""A Slack workspace over real HTTP on loopback: keeps channels, messages, threads and metadata, refuses what Slack
refuses, and can lose answers, be slow or fail on request.

    with SlackStandIn() as slack:
        room = slack.add_channel("ops-alerts")
        SlackChannel(token=slack.token, api_url=slack.api_url, …)
        assert [message["text"] for message in slack.messages("ops-alerts")] == […]
"""

import asyncio
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from balancebot.clock import SystemClock
from tests.patience import PATIENCE
from tests.standins.slack_rules import refusal_of
from tests.standins.slack_socket import SocketSide

ALL_SCOPES = (
    "chat:write",
    "channels:read",
    "groups:read",
    "channels:history",
    "groups:history",
    "users:read",
)
TEAM = "T000"
"""The workspace's own id."""
_WRITING = {
    "apps.connections.open",
    "auth.test",
    "chat.delete",
    "chat.postEphemeral",
    "chat.postMessage",
    "chat.update",
    "views.open",
}
_SCOPE_OF = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "users.info": "users:read",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of one call, which may take effect before it fails (`done`).

    `error` answers with an error code of Slack and the `needed` scope, `status` with a bare HTTP status, `lose_answer`
    closes the connection without an answer, `rate_limited` answers 429 with these seconds; `delay` alone is only slow.
    """

    error: str = ""
    needed: str = ""
    status: int = 0
    lose_answer: bool = False
    rate_limited: int | None = None
    delay: float = 0.0
    done: bool = False
    without: str = ""
    """A key that is missing in the answer, as if it came from another service."""


@dataclass(slots=True, kw_only=True)
class Room:
    """A channel; `messages` in the order in which they came, thread replies included."""

    id: str
    name: str
    member: bool = True
    archived: bool = False
    private: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, as it came; `refused` is the error code of its answer. `method` is `webhook` for an incoming webhook."""

    method: str
    params: dict[str, Any]
    refused: str = ""


class SlackStandIn:
    """The workspace. Its state may be read and changed from the test's own thread between calls."""

    def __init__(self, *, token: str = "xoxb-standin", scopes: tuple[str, ...] = ALL_SCOPES) -> None:
        self.token = token
        self.app_token = "xapp-standin"
        self.groups: dict[str, list[str]] = {}
        self.users: dict[str, dict[str, Any] | None] = {}
        """Special fields of profiles; None = an unknown user. Everyone else is a member."""
        self.scopes = scopes
        self.rooms: dict[str, Room] = {}
        self.calls: list[Call] = []
        self.page_size = 1000
        self.webhook_room = ""
        self.answers_the_dead = False
        """Whether replies to a deleted message are accepted; Slack accepts them if the message had a thread."""
        self.lets_edit = True
        """Whether messages may still be edited; a workspace may limit the time for edits."""
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._last_ts = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.socket = SocketSide(self._loop)
        self._runner: web.AppRunner | None = None
        self._base = ""

    # --- for tests

    @property
    def api_url(self) -> str:
        """The base URL of the Web API, ending with a slash."""
        return f"{self._base}/api/"

    @property
    def webhook_url(self) -> str:
        """An incoming webhook into `webhook_room` (by default the first channel)."""
        return f"{self._base}/services/T000/B000/secret"

    @property
    def response_url(self) -> str:
        """The URL at which a request may be answered."""
        return f"{self._base}/answers/T000/1/secret"

    def add_channel(
        self, name: str, *, member: bool = True, archived: bool = False, private: bool = False
    ) -> str:
        """Add a channel and return its id."""
        room = Room(
            id=f"C{len(self.rooms):08d}", name=name, member=member, archived=archived, private=private
        )
        self.rooms[room.id] = room
        return room.id

    def fail_next(self, method: str, *faults: Fault) -> None:
        """Let the next calls of `method` (or `webhook`) fail, with one fault each, in order."""
        self._faults[method].extend(faults)

    def end_faults(self) -> None:
        """Forget every planned fault."""
        self._faults.clear()

    def messages(self, channel: str, *, thread: str | None = None) -> list[dict[str, Any]]:
        """Return the messages of a channel (by name or id) outside threads, or the replies of one thread."""
        room = self._find(channel)
        assert room is not None, channel
        if thread is not None:
            return [message for message in room.messages if message.get("thread_ts") == thread]
        return [message for message in room.messages if "thread_ts" not in message]

    def calls_of(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of every call of `method`, refused ones included."""
        return [call.params for call in self.calls if call.method == method]

    def delete(self, channel: str, ts: str) -> None:
        """Delete a message, as a person does."""
        room = self._find(channel)
        assert room is not None, channel
        room.messages = [message for message in room.messages if message["ts"] != ts]

    # --- start and stop

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/api/{method}", self._handle_api)
        app.router.add_post("/services/{path:.*}", self._handle_webhook)
        app.router.add_get("/socket/{ticket}", self.socket.handle)
        app.router.add_post("/answers/{path:.*}", self.socket.handle_answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    # --- HTTP

    async def _handle_api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        params = await _params(request, method)
        fault = self._faults[method].pop(0) if self._faults[method] else Fault()
        call = Call(method=method, params=params, refused=fault.error)
        self.calls.append(call)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        breaks = fault.error or fault.status or fault.lose_answer or fault.rate_limited is not None
        refused = "" if breaks and not fault.done else self._authorise(request, method)
        answer: dict[str, Any] = {}
        if not breaks or fault.done:
            answer = (
                _error(refused, needed=_SCOPE_OF.get(method, "")) if refused else self._act(method, params)
            )
            call.refused = call.refused or str(answer.get("error", ""))
        return self._answer(request, answer, fault)

    def _answer(self, request: web.Request, answer: dict[str, Any], fault: Fault) -> web.StreamResponse:
        if fault.lose_answer:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault.rate_limited is not None:
            return web.json_response(
                _error("ratelimited"), status=429, headers={"Retry-After": str(fault.rate_limited)}
            )
        if fault.status:
            return web.Response(status=fault.status, text="<html>oops</html>", content_type="text/html")
        if fault.error:
            answer = _error(fault.error, needed=fault.needed)
        answer = {key: value for key, value in answer.items() if key != fault.without}
        return web.json_response(answer, headers={"X-OAuth-Scopes": ",".join(self.scopes)})

    async def _handle_webhook(self, request: web.Request) -> web.StreamResponse:
        fault = self._faults["webhook"].pop(0) if self._faults["webhook"] else Fault()
        body = await request.json()
        self.calls.append(Call(method="webhook", params=body, refused=fault.error))
        if fault.delay:
            await asyncio.sleep(fault.delay)
        breaks = fault.error or fault.status or fault.lose_answer or fault.rate_limited is not None
        if request.match_info["path"] != "T000/B000/secret":
            return web.Response(status=404, text="no_service")
        if fault.error:
            return web.Response(status=400, text=fault.error)
        room = self.rooms[self.webhook_room] if self.webhook_room else next(iter(self.rooms.values()))
        if not breaks or fault.done:
            if code := refusal_of(body):
                return web.Response(status=400, text=code)
            room.messages.append(self._new_message(body))
        if breaks:
            return self._answer(request, {}, fault)
        return web.Response(text="ok")

    # --- the workspace

    def _authorise(self, request: web.Request, method: str) -> str:
        token = self.app_token if method == "apps.connections.open" else self.token
        if request.headers.get("Authorization") != f"Bearer {token}":
            return "invalid_auth"
        needed = _SCOPE_OF.get(method)
        return "missing_scope" if needed and needed not in self.scopes else ""

    def _act(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "auth.test":
                return {
                    "ok": True,
                    "team": "Example",
                    "team_id": TEAM,
                    "user": "balancebot",
                    "bot_id": "B00000000",
                }
            case "users.info":
                known = self.users.get(params["user"], {})
                profile = {"id": params["user"], "team_id": TEAM, "deleted": False, "is_restricted": False}
                return (
                    _error("user_not_found") if known is None else {"ok": True, "user": {**profile, **known}}
                )
            case "conversations.list":
                return self._list(params)
            case "conversations.info":
                room = self._find(params.get("channel", ""))
                return {"ok": True, "channel": _shape(room)} if room else _error("channel_not_found")
            case "conversations.history" | "conversations.replies":
                return self._read(method, params)
            case "chat.postMessage":
                return self._post(params)
            case "chat.update":
                return self._update(params)
            case "chat.delete":
                return self._delete(params)
            case "chat.postEphemeral":
                if code := refusal_of(params):
                    return _error(code)
                self.socket.record_answer(params)
                return {"ok": True, "message_ts": "1.000001"}
            case "apps.connections.open":
                return {"ok": True, "url": self.socket.ticket(self._base)}
            case "views.open":
                self.socket.forms.append(params["view"])
                return {"ok": True, "view": {"id": "V00000001"}}
            case "usergroups.users.list":
                return {"ok": True, "users": self.groups.get(params["usergroup"], [])}
        return _error("unknown_method")

    def _list(self, params: dict[str, Any]) -> dict[str, Any]:
        types = str(params.get("types", "public_channel")).split(",")
        for kind, scope in (("public_channel", "channels:read"), ("private_channel", "groups:read")):
            if kind in types and scope not in self.scopes:
                return _error("missing_scope", needed=scope)
        rooms = [
            _shape(room)
            for room in self.rooms.values()
            if (("private_channel" in types and room.member) if room.private else "public_channel" in types)
            and not (room.archived and _true(params.get("exclude_archived")))
        ]
        return self._page("channels", rooms, params)

    def _page(self, key: str, items: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
        start = int(params.get("cursor") or 0)
        size = min(int(params.get("limit") or 100), self.page_size)
        rest = start + size < len(items)
        return {
            "ok": True,
            key: items[start : start + size],
            "has_more": rest,
            "response_metadata": {"next_cursor": str(start + size) if rest else ""},
        }

    def _read(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        room = self._find(params.get("channel", ""))
        if room is None:
            return _error("channel_not_found")
        scope = "groups:history" if room.private else "channels:history"
        if scope not in self.scopes:
            return _error("missing_scope", needed=scope)
        if not room.member:
            return _error("not_in_channel")
        if method == "conversations.replies":
            parent = next((message for message in room.messages if message["ts"] == params.get("ts")), None)
            if parent is None:
                return _error("thread_not_found")
            found = [parent, *self.messages(room.id, thread=parent["ts"])]
        else:
            found = [
                message
                for message in reversed(room.messages)
                if "thread_ts" not in message or message.get("subtype") == "thread_broadcast"
            ]
        found = [message for message in found if float(message["ts"]) > float(params.get("oldest") or 0)]
        if not _true(params.get("include_all_metadata")):
            found = [{key: value for key, value in message.items() if key != "metadata"} for message in found]
        return self._page("messages", found, params)

    def _post(self, params: dict[str, Any]) -> dict[str, Any]:
        room = self._find(params.get("channel", ""))
        if room is None or (room.private and not room.member):
            return _error("channel_not_found")
        if room.archived:
            return _error("is_archived")
        if not room.member and "chat:write.public" not in self.scopes:
            return _error("not_in_channel")
        if code := refusal_of(params):
            return _error(code)
        thread = params.get("thread_ts")
        is_dead = all(message["ts"] != thread for message in room.messages)
        if thread and is_dead and not self.answers_the_dead:
            return _error("thread_not_found")
        message = self._new_message(params)
        if thread:
            message["thread_ts"] = thread
            if params.get("reply_broadcast"):
                message["subtype"] = "thread_broadcast"
        room.messages.append(message)
        return {"ok": True, "channel": room.id, "ts": message["ts"], "message": message}

    def _new_message(self, params: dict[str, Any]) -> dict[str, Any]:
        self._last_ts = max(SystemClock().now().timestamp(), self._last_ts + 0.000001)
        stored: dict[str, Any] = {
            key: params[key] for key in ("text", "blocks", "attachments", "metadata") if key in params
        }
        return {"type": "message", "bot_id": "B00000000", "ts": f"{self._last_ts:.6f}", **stored}

    def _update(self, params: dict[str, Any]) -> dict[str, Any]:
        room = self._find(params.get("channel", ""))
        if room is None:
            return _error("channel_not_found")
        message = next((message for message in room.messages if message["ts"] == params.get("ts")), None)
        if message is None:
            return _error("message_not_found")
        if message.get("bot_id") != "B00000000":
            return _error("cant_update_message")
        if not self.lets_edit:
            return _error("edit_window_closed")
        if code := refusal_of(params):
            return _error(code)
        # Without new metadata the old stays, as in Slack.
        message.update(
            {key: params[key] for key in ("text", "blocks", "attachments", "metadata") if key in params}
        )
        message["edited"] = {"ts": f"{SystemClock().now().timestamp():.6f}"}
        return {"ok": True, "channel": room.id, "ts": message["ts"], "text": message.get("text", "")}

    def _delete(self, params: dict[str, Any]) -> dict[str, Any]:
        room = self._find(params.get("channel", ""))
        if room is None:
            return _error("channel_not_found")
        if all(message["ts"] != params.get("ts") for message in room.messages):
            return _error("message_not_found")
        self.delete(room.id, params["ts"])
        return {"ok": True, "channel": room.id, "ts": params["ts"]}

    def _find(self, channel: str) -> Room | None:
        if channel in self.rooms:
            return self.rooms[channel]
        wanted = channel.removeprefix("#")
        return next((room for room in self.rooms.values() if room.name == wanted), None)


async def _params(request: web.Request, method: str) -> dict[str, Any]:
    """Read a form, or JSON if the method accepts it; Slack ignores JSON elsewhere."""
    if request.content_type != "application/json":
        return dict(await request.post())
    body = await request.text()
    return json.loads(body) if body and method in _WRITING else {}


def _shape(room: Room) -> dict[str, Any]:
    return {
        "id": room.id,
        "name": room.name,
        "is_member": room.member,
        "is_archived": room.archived,
        "is_private": room.private,
    }


def _error(code: str, **more: str) -> dict[str, Any]:
    return {"ok": False, "error": code, **{key: value for key, value in more.items() if value}}


def _true(value: object) -> bool:
    return value in (True, 1, "1", "true", "True")
