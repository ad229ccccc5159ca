"""JSMS, Slack and a mail server that report two boundaries of each request: it came in, and it took effect."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from balancebot.clock import SystemClock
from balancebot.jsms.simulator import Scenario, Simulator
from tests.crash.interruptions import Interrupter, InterruptionKind
from tests.patience import PATIENCE
from tests.standins.slack_api import SlackStandIn
from tests.standins.smtp import SmtpStandIn

ClientOf = Callable[[int], int]
"""From the port of a connection's other end to the id of the process that opened it."""


class RequestBoundaries:
    """Reports the boundaries of the requests to a stand-in."""

    def __init__(self, interrupter: Interrupter, client_of: ClientOf) -> None:
        self._interrupter = interrupter
        self._client_of = client_of

    async def must_disconnect_at(self, boundary: str, peer: Any) -> bool:
        """Report a boundary and return whether to break the connection there."""
        if not self._interrupter.is_due_at(boundary):
            return False
        port = int(peer[1])
        kind = await asyncio.get_running_loop().run_in_executor(
            None, lambda: self._interrupter.interrupt(boundary, self._client_of(port))
        )
        # the request of a killed process may still take effect, but nobody gets the answer
        return kind is InterruptionKind.DISCONNECT


class WatchedSlack(SlackStandIn):
    """A Slack workspace."""

    def __init__(self, boundaries: RequestBoundaries) -> None:
        super().__init__()
        self._boundaries = boundaries

    def stop_listening(self) -> None:
        """Refuse connections."""
        self._run(self._site.stop())

    def listen_again(self) -> None:
        """Accept connections again, at the same address."""
        self._run(self._listen(self._port))

    async def _start(self) -> None:
        await super()._start()
        assert self._runner is not None
        self._port = self._runner.addresses[0][1]
        self._site = next(iter(self._runner.sites))

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", port)
        await self._site.start()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _handle_api(self, request: web.Request) -> web.StreamResponse:
        method = f"slack {request.match_info['method']}"
        peer = request.transport and request.transport.get_extra_info("peername")
        if await self._boundaries.must_disconnect_at(f"{method} asked", peer):
            return _disconnected(request)
        try:
            answer = await super()._handle_api(request)
        except ConnectionError:  # the client was killed before the end of its request
            return _disconnected(request)
        if await self._boundaries.must_disconnect_at(f"{method} done", peer):
            return _disconnected(request)
        return answer


class WatchedJsms(Simulator):
    """A JSMS."""

    def __init__(self, scenario: Scenario, boundaries: RequestBoundaries) -> None:
        super().__init__(scenario, clock=SystemClock())
        self._boundaries = boundaries

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = request.transport and request.transport.get_extra_info("peername")
        if await self._boundaries.must_disconnect_at("jsms asked", peer):
            return _disconnected(request)
        answer = await super()._answer(request)
        if await self._boundaries.must_disconnect_at("jsms answers", peer):
            return _disconnected(request)
        return answer


class WatchedMail(SmtpStandIn):
    """A mail server."""

    def __init__(self, boundaries: RequestBoundaries) -> None:
        super().__init__()
        self._boundaries = boundaries

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if await self._boundaries.must_disconnect_at("mail MAIL asked", session.peer):
            return _closed(server)
        return await super().handle_MAIL(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- ditto
        if await self._boundaries.must_disconnect_at("mail DATA asked", session.peer):
            return _closed(server)
        reply = await super().handle_DATA(server, session, envelope)
        if await self._boundaries.must_disconnect_at("mail DATA done", session.peer):
            return _closed(server)
        return reply


def _disconnected(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _closed(server: SMTP) -> str:
    if server.transport is not None:
        server.transport.abort()  # type: ignore[attr-defined] # a socket's has it
    return "421 gone"
