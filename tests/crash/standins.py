"""JSMS, Slack and a mail server that report each request twice: when it has come in, and when it has taken effect."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from balancebot.clock import SystemClock
from balancebot.jsms.simulator import Scenario, Simulator
from tests.crash.traps import Fate, Traps
from tests.patience import PATIENCE
from tests.standins.slack_api import SlackStandIn
from tests.standins.smtp import SmtpStandIn

WhoseLine = Callable[[int], int]
"""From the port of the other end of a connection to the number of the process that holds it."""


class Reports:
    """How a stand-in reports what it was asked."""

    def __init__(self, traps: Traps, whose: WhoseLine) -> None:
        self._traps = traps
        self._whose = whose

    async def lost_at(self, boundary: str, peer: Any) -> bool:
        """Report a boundary; True when the line is to break there."""
        if not self._traps.waits_for(boundary):
            return False
        port = int(peer[1])
        fate = await asyncio.get_running_loop().run_in_executor(
            None, lambda: self._traps.spring(boundary, self._whose(port))
        )
        # what was asked by a process that is no more may yet take effect, but nobody hears the answer
        return fate is Fate.LOSE


class WatchedSlack(SlackStandIn):
    """A Slack workspace."""

    def __init__(self, reports: Reports) -> None:
        super().__init__()
        self._reports = reports

    def shut(self) -> None:
        """Let nobody in any more: a connection is refused."""
        self._run(self._site.stop())

    def open_again(self) -> None:
        """Let everybody in at the same address."""
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
        if await self._reports.lost_at(f"{method} asked", peer):
            return _broken(request)
        try:
            answer = await super()._handle_api(request)
        except ConnectionError:  # who asked was killed before the end of its request
            return _broken(request)
        if await self._reports.lost_at(f"{method} done", peer):
            return _broken(request)
        return answer


class WatchedJsms(Simulator):
    """A JSMS."""

    def __init__(self, scenario: Scenario, reports: Reports) -> None:
        super().__init__(scenario, clock=SystemClock())
        self._reports = reports

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = request.transport and request.transport.get_extra_info("peername")
        if await self._reports.lost_at("jsms asked", peer):
            return _broken(request)
        answer = await super()._answer(request)
        if await self._reports.lost_at("jsms answers", peer):
            return _broken(request)
        return answer


class WatchedMail(SmtpStandIn):
    """A mail server."""

    def __init__(self, reports: Reports) -> None:
        super().__init__()
        self._reports = reports

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if await self._reports.lost_at("mail MAIL asked", session.peer):
            return _hung_up(server)
        return await super().handle_MAIL(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- ditto
        if await self._reports.lost_at("mail DATA asked", session.peer):
            return _hung_up(server)
        reply = await super().handle_DATA(server, session, envelope)
        if await self._reports.lost_at("mail DATA done", session.peer):
            return _hung_up(server)
        return reply


def _broken(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _hung_up(server: SMTP) -> str:
    if server.transport is not None:
        server.transport.abort()  # type: ignore[attr-defined] # a socket's has it
    return "421 gone"
