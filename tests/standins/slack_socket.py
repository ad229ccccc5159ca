"""The Socket Mode side of the Slack stand-in: sockets over real WebSocket, envelopes, and what people alone are told.

Like Slack it sends an envelope that nobody has acknowledged again, over the next socket that is opened.

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
    """Open sockets and what went over them. A test asks from its own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tickets: set[str] = set()
        self._sockets: list[web.WebSocketResponse] = []
        self._changed = threading.Condition()
        self._deaf: set[web.WebSocketResponse] = set()
        self.num_opened = 0
        self.refuses_with = ""
        """The reason for which every new socket is told at once that it will be closed."""
        self.acknowledged: dict[str, list[dict[str, Any]]] = {}
        """Per envelope id, the payload of each acknowledgement."""
        self.seconds: dict[str, float] = {}
        """Per envelope id, how long the first acknowledgement took."""
        self.whispers: list[dict[str, Any]] = []
        """What one person alone was told, by whichever way."""
        self.forms: list[dict[str, Any]] = []
        self._sent_at: dict[str, float] = {}
        self._sent: dict[str, str] = {}
        """Per envelope id, what was sent and not acknowledged yet."""

    # --- what a test says and asks

    def wait_for_sockets(self, count: int) -> None:
        """Wait until so many sockets have been opened in all."""
        self._wait(lambda: self.num_opened >= count)

    def wait_for_whispers(self, count: int) -> list[str]:
        """Wait until so many answers were given, and return their texts."""
        self._wait(lambda: len(self.whispers) >= count)
        return [text_of(body) for body in self.whispers]

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

    def go_deaf(self) -> None:
        """Let the sockets look open, and neither hear nor answer anything any more."""
        self._deaf.update(self._sockets)

    def drop(self) -> None:
        """Break the newest socket without a word."""
        transport = self._sockets[-1]._req.transport
        assert transport is not None
        self._loop.call_soon_threadsafe(transport.abort)

    # --- the wire

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
            if socket in self._deaf:
                continue
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._acknowledge(json.loads(message.data))
        self._sockets.remove(socket)
        return socket

    async def handle_answer(self, request: web.Request) -> web.Response:
        """Take an answer at a request's own address."""
        body = await request.json()
        if code := refusal_of(body):
            return web.Response(status=400, text=code)
        self.whisper(body)
        return web.Response(text="ok")

    def whisper(self, body: dict[str, Any]) -> None:
        """Keep what one person alone was told."""
        with self._changed:
            self.whispers.append(body)
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
    """Return all that the blocks of a message say."""
    return "\n".join(
        block["text"]["text"] for block in body.get("blocks", ()) if block["type"] in {"section", "header"}
    )
