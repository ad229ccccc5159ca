"""The Socket Mode part of the Slack stand-in: sockets over real WebSocket, envelopes, and ephemeral answers.

Like Slack it sends an unacknowledged envelope again over the next socket that is opened.

with SlackStandIn() as slack:
    …                                   # a listener connects
    slack.socket.wait_for_sockets(1)
    assert slack.socket.deliver(envelope) == {}        # acknowledged, with this payload
"""

import asyncio
import contextlib
import json
import threading
import time
import uuid
from typing import Any

from aiohttp import ClientConnectionResetError, WSMsgType, web

from tests.patience import PATIENCE
from tests.standins.slack_rules import refusal_of


class SocketSide:
    """Open sockets and their traffic. Tests call it from their own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tickets: set[str] = set()
        self._sockets: list[web.WebSocketResponse] = []
        self._changed = threading.Condition()
        self._unresponsive: set[web.WebSocketResponse] = set()
        self.num_opened = 0
        self.refuses_with = ""
        """The reason with which every new socket is immediately announced to be closed."""
        self.acknowledged: dict[str, list[dict[str, Any]]] = {}
        """Per envelope id, the payload of each acknowledgement."""
        self.seconds: dict[str, float] = {}
        """Per envelope id, the seconds until the first acknowledgement."""
        self.answers: list[dict[str, Any]] = []
        """The ephemeral answers, sent in any way."""
        self.forms: list[dict[str, Any]] = []
        self._sent_at: dict[str, float] = {}
        self._sent: dict[str, str] = {}
        """Per envelope id, the envelopes that are not acknowledged yet."""

    # --- for tests

    def wait_for_sockets(self, count: int) -> None:
        """Wait until `count` sockets have been opened in total."""
        self._wait(lambda: self.num_opened >= count)

    def wait_for_answers(self, count: int) -> list[str]:
        """Wait until there are `count` ephemeral answers, and return their texts."""
        self._wait(lambda: len(self.answers) >= count)
        return [text_of(body) for body in self.answers]

    def send(self, envelope: dict[str, Any]) -> None:
        """Send an envelope over the newest socket, and wait for nothing."""
        self._do(self._send(envelope["envelope_id"], json.dumps(envelope)))

    def deliver(self, envelope: dict[str, Any]) -> dict[str, Any]:
        """Send an envelope, wait for its acknowledgement and return the payload of that."""
        envelope_id = envelope["envelope_id"]
        before = len(self.acknowledged.get(envelope_id, ()))
        self.send(envelope)
        self._wait(lambda: len(self.acknowledged.get(envelope_id, ())) > before)
        return self.acknowledged[envelope_id][-1]

    def disconnect(self, reason: str = "refresh_requested") -> None:
        """Announce that the newest socket will be closed."""
        self._do(self._sockets[-1].send_str(json.dumps({"type": "disconnect", "reason": reason})))

    def stop_responding(self) -> None:
        """Keep the sockets open, but ignore everything they receive."""
        self._unresponsive.update(self._sockets)

    def drop(self) -> None:
        """Break the newest socket without a close frame."""
        transport = self._sockets[-1]._req.transport
        assert transport is not None
        self._loop.call_soon_threadsafe(transport.abort)

    # --- for the server

    def ticket(self, base: str) -> str:
        """Return the address of a socket that may be opened once."""
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return f"{base.replace('http', 'ws', 1)}/socket/{ticket}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket."""
        ticket = request.match_info["ticket"]
        if ticket not in self._tickets:
            return web.Response(status=404)
        self._tickets.remove(ticket)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.send_str(json.dumps({"type": "hello", "num_connections": 1}))
        if self.refuses_with:
            await socket.send_str(json.dumps({"type": "disconnect", "reason": self.refuses_with}))
        for text in list(self._sent.values()):
            await socket.send_str(text)
        with self._changed:
            self._sockets.append(socket)
            self.num_opened += 1
            self._changed.notify_all()
        async for message in socket:
            if socket in self._unresponsive:
                continue
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._acknowledge(json.loads(message.data))
        self._sockets.remove(socket)
        return socket

    async def handle_answer(self, request: web.Request) -> web.Response:
        """Accept an answer at the `response_url` of a request."""
        body = await request.json()
        if code := refusal_of(body):
            return web.Response(status=400, text=code)
        self.record_answer(body)
        return web.Response(text="ok")

    def record_answer(self, body: dict[str, Any]) -> None:
        """Record an ephemeral answer."""
        with self._changed:
            self.answers.append(body)
            self._changed.notify_all()

    async def _send(self, envelope_id: str, text: str) -> None:
        self._sent_at.setdefault(envelope_id, time.monotonic())
        self._sent[envelope_id] = text
        with contextlib.suppress(IndexError, ClientConnectionResetError):  # the next socket gets it
            await self._sockets[-1].send_str(text)

    def _acknowledge(self, message: dict[str, Any]) -> None:
        with self._changed:
            envelope_id = message["envelope_id"]
            self._sent.pop(envelope_id, None)
            self.seconds.setdefault(envelope_id, time.monotonic() - self._sent_at[envelope_id])
            self.acknowledged.setdefault(envelope_id, []).append(message.get("payload", {}))
            self._changed.notify_all()

    def _wait(self, holds: Any) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE), "waited in vain"

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


def text_of(body: dict[str, Any]) -> str:
    """Return the text of all blocks of a message."""
    return "\n".join(
        block["text"]["text"] for block in body.get("blocks", ()) if block["type"] in {"section", "header"}
    )
