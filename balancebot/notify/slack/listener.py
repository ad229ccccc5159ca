"""Keep a Socket Mode connection open and acknowledge every envelope in time, even if its work takes longer.

slack_sdk's own clients aren't used: they don't notice a socket that died before its first pong, loop without pause on
one that was closed without a close frame, and support neither NO_PROXY nor connecting without the proxy.
"""

import asyncio
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp

from balancebot.config import Proxy
from balancebot.domain.sentence import clean_text
from balancebot.network import proxy_for
from balancebot.notify.slack.handlers import SlackHandlers
from balancebot.notify.slack.payloads import Envelope, SlackRequest, parse_envelope
from balancebot.notify.slack.responses import SlackQueries, SlackWorkspace
from balancebot.notify.slack.roles import Roles
from balancebot.ports import MAX_FOREIGN, ChannelError

if TYPE_CHECKING:
    from balancebot.app import App

log = logging.getLogger(__name__)

Payload: TypeAlias = Mapping[str, Any]
Work: TypeAlias = "Future[Payload | None]"

HEARTBEAT = timedelta(seconds=10)
"""How often an idle socket is pinged; without a pong after half of that time it counts as dead."""
_ACKNOWLEDGE_WITHIN = 2.0
"""In seconds. Slack allows 3 s: an envelope is acknowledged after this time even if its work continues."""
_OLD_FOR = 30.0
"""How many seconds a socket that Slack is about to close is still read, in parallel with the new one."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_SETTLED_AFTER = 20.0
"""A socket that lasted at least this many seconds is replaced at once; after shorter ones the pauses grow."""
_ABOUT_TO_CLOSE = frozenset({"warning", "refresh_requested"})
"""Why Slack replaces a socket in the ordinary course of things; anything else is a refusal."""
_FINISH_WITHIN = 4.0
_MAX_THREADS = 8
_MAX_REMEMBERED = 1_000


class SocketMode:
    """One connection at a time (two while Slack replaces it), in its own thread."""

    def __init__(
        self,
        *,
        open_url: Callable[[], str | ChannelError],
        answer: Callable[[SlackRequest], Payload | None],
        proxy: Proxy | None,
        heartbeat: timedelta = HEARTBEAT,
    ) -> None:
        """`open_url` requests the URL of a new connection; `answer` does what a request asks for and may block."""
        self._open_url = open_url
        self._answer = answer
        self._proxy = proxy
        self._heartbeat = heartbeat.total_seconds()
        self._pool = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="slack")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="socket mode", daemon=True)
        self._stopping = asyncio.Event()
        self._works: OrderedDict[str, Work] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: set[aiohttp.ClientWebSocketResponse] = set()
        self._error: str | None = None
        self._logged: str | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a socket is open."""
        return self._error == ""

    def start(self) -> None:
        """Start listening. Failures are logged and retried without end."""
        self._thread.start()

    def stop(self, within: timedelta) -> bool:
        """Accept no more requests and wait for running ones; return whether they ended within the time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(within.total_seconds())
        self._pool.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive() and all(work.done() for work in self._works.values())

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        async with aiohttp.ClientSession() as session:
            listening = asyncio.create_task(self._listen(session))
            await self._stopping.wait()
            running = [work for work in self._works.values() if not work.done()]
            if running:
                await asyncio.wait(map(asyncio.wrap_future, running), timeout=_FINISH_WITHIN)
                await asyncio.sleep(0.05)  # for their acknowledgements
            for task in (listening, *self._tasks):
                task.cancel()
            await asyncio.gather(listening, *self._tasks, return_exceptions=True)
            for socket in self._sockets:  # sockets whose reading task was cancelled before it started
                await socket.close()

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        """Open one socket after another: the next one when the last has ended or is about to."""
        pause = _FIRST_PAUSE
        while True:
            socket = await self._open(session)
            if socket is not None:
                self._sockets.add(socket)
                self._note("")
                needs_next = asyncio.Event()
                self._start_task(self._read(socket, needs_next))
                with suppress(TimeoutError):
                    await asyncio.wait_for(needs_next.wait(), _SETTLED_AFTER)
                if not needs_next.is_set():
                    self._note_settled()
                    pause = _FIRST_PAUSE
                    await needs_next.wait()
                    continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse | None:
        url = await asyncio.to_thread(self._open_url)
        if isinstance(url, ChannelError):
            self._note(str(url.message))
            return None
        try:
            return await session.ws_connect(
                url,
                heartbeat=self._heartbeat,
                proxy=proxy_for(url, self._proxy),
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                max_msg_size=0,
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as fault:
            # its text may contain the URL, which is a secret
            self._note(f"Slack's socket can't be opened: {type(fault).__name__}")
            return None

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, needs_next: asyncio.Event) -> None:
        """Read a socket to its end; set `needs_next` when another one must be opened."""
        error = "Slack's socket was closed"
        try:
            async with asyncio.timeout(None) as deadline:
                async for message in socket:
                    envelope = _parsed(message.data)
                    match envelope.get("type"):
                        case "disconnect" if not _is_about_to_close(envelope.get("reason")):
                            # closed immediately: an open one would count against the next
                            error = _refusal(envelope.get("reason"))
                            break
                        case "disconnect":
                            error = ""
                            deadline.reschedule(self._loop.time() + _OLD_FOR)
                            needs_next.set()
                        case _ if "envelope_id" in envelope and not self._stopping.is_set():
                            self._start_task(self._handle(socket, envelope))
        except TimeoutError:
            pass  # an old socket that was read in parallel for long enough
        finally:
            await socket.close()
            self._sockets.discard(socket)
            if error and not self._stopping.is_set():
                self._note(error)
            needs_next.set()

    async def _handle(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        """Do the work of an envelope, and acknowledge it when the work is done or the time is up."""
        request = parse_envelope(envelope)
        answer: dict[str, object] = {"envelope_id": envelope["envelope_id"]}
        if request is not None:
            work = self._work(request)
            await asyncio.wait([asyncio.wrap_future(work)], timeout=_ACKNOWLEDGE_WITHIN)
            payload = work.result() if work.done() else None
            if payload is not None:
                answer["payload"] = payload
        try:
            await socket.send_str(json.dumps(answer))
        except (aiohttp.ClientError, OSError):
            log.info("slack.unacknowledged")  # Slack sends it again; it is still done only once

    def _work(self, request: SlackRequest) -> Work:
        """Start the work of a request, or return it if it was already started."""
        work = self._works.get(request.id)
        if work is None:
            work = self._pool.submit(self._answered, request)
            self._works[request.id] = work
            if len(self._works) > _MAX_REMEMBERED:
                self._works.popitem(last=False)
        return work

    def _answered(self, request: SlackRequest) -> Payload | None:
        try:
            return self._answer(request)
        except Exception:  # a bug in one request is logged, and must not stop the next one
            log.exception("slack.failed")
            return None

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, error: str) -> None:
        """Log an error once until a socket has lasted; '' = connected, which is logged immediately only the first time."""
        self._error = error
        if error and error != self._logged:
            log.warning("slack.disconnected", extra={"error": error})
            self._logged = error
        elif self._logged is None:
            self._note_settled()

    def _note_settled(self) -> None:
        if self._logged != "":
            log.info("slack.connected")
            self._logged = ""


def _is_about_to_close(reason: object) -> bool:
    return reason is None or (isinstance(reason, str) and reason in _ABOUT_TO_CLOSE)


def _refusal(reason: object) -> str:
    """Say in words why Slack closes a socket that it won't have."""
    if reason == "link_disabled":
        return "Socket Mode is switched off in the Slack app's settings"
    if reason == "too_many_websockets":
        return "the Slack app has too many sockets: another balancebot, or another program, uses the same app token"
    return f"Slack closed the socket: {clean_text(str(reason), at_most=MAX_FOREIGN)}"


def _parsed(data: Any) -> Envelope:
    try:
        envelope = json.loads(data)
    except (TypeError, ValueError, RecursionError):  # binary, empty, or nested too deeply
        return {}
    return envelope if isinstance(envelope, dict) else {}


class SlackApp:
    """The listener: the Socket Mode connection with its handlers."""

    def __init__(self, handlers: SlackHandlers, connection: SocketMode) -> None:
        self._handlers = handlers
        self._connection = connection

    @property
    def is_connected(self) -> bool:
        """Whether Slack can reach it."""
        return self._connection.is_connected

    def start(self) -> None:
        """Start listening."""
        self._connection.start()

    def stop(self, within: timedelta) -> bool:
        """Accept no more requests and wait for running ones; return whether they ended within the time."""
        self._handlers.stopping.set()
        return self._connection.stop(within)


def slack_app_of(
    app: "App", *, on_done: Callable[[], None], heartbeat: timedelta = HEARTBEAT
) -> SlackApp | None:
    """Return the listener of an app; None if no app token is configured."""
    slack = app.settings.slack
    if slack is None or slack.app_token is None or slack.bot_token is None:
        return None
    workspace = SlackWorkspace(
        bot_token=slack.bot_token.reveal(),
        app_token=slack.app_token.reveal(),
        api_url=slack.api_url,
        proxy=slack.proxy,
    )
    handlers = SlackHandlers(
        database=app.database,
        clock=app.clock,
        operate_alerts=app.operate_alerts,
        operate_orders=app.operate_orders,
        queries=SlackQueries(
            database=app.database,
            clock=app.clock,
            settings=lambda: app.settings,
            thresholds=app.thresholds,
            figures=app.figures,
            words=app.words,
        ),
        roles=Roles(slack.roles, workspace=workspace, clock=app.clock),
        workspace=workspace,
        on_done=on_done,
    )
    connection = SocketMode(
        open_url=workspace.open_url, answer=handlers.answer, proxy=slack.proxy, heartbeat=heartbeat
    )
    return SlackApp(handlers, connection)
