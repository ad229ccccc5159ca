"""Keeps a Socket Mode connection open and acknowledges every envelope in time, whatever the work behind it does.

Not slack_sdk's own clients: theirs never notice a socket that died before its first pong, spin on one that the other
side closed without a word, and know neither NO_PROXY nor a direct way.
"""

import asyncio
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp

from balancebot.config import Proxy
from balancebot.network import proxy_for
from balancebot.notify.slack.handlers import SlackHandlers
from balancebot.notify.slack.payloads import Envelope, SlackRequest, parse_envelope
from balancebot.notify.slack.responses import SlackQueries, SlackWorkspace
from balancebot.notify.slack.roles import Roles
from balancebot.ports import ChannelError

if TYPE_CHECKING:
    from balancebot.app import App

log = logging.getLogger(__name__)

Payload: TypeAlias = Mapping[str, Any]
Work: TypeAlias = "Future[Payload | None]"

HEARTBEAT = timedelta(seconds=10)
"""How often a quiet socket is pinged; without a pong after half of that it is dead."""
_ACKNOWLEDGE_WITHIN = 2.0
"""Slack gives 3 s: what isn't done by then is acknowledged, and goes on."""
_OLD_FOR = 30.0
"""How long a socket that Slack is about to close is still read, beside the new one."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_SETTLED_AFTER = 20.0
"""A socket that lasted so long is replaced at once; after shorter ones there are growing pauses."""
_FINISH_WITHIN = 4.0
_HANDS = 8
_REMEMBERED = 1_000


class SocketMode:
    """One connection at a time (two while Slack replaces it), in a thread of its own."""

    def __init__(
        self,
        *,
        open_url: Callable[[], str | ChannelError],
        answer: Callable[[SlackRequest], Payload | None],
        proxy: Proxy | None,
        heartbeat: timedelta = HEARTBEAT,
    ) -> None:
        """`open_url` asks for a new connection's address; `answer` does what is asked and may block."""
        self._open_url = open_url
        self._answer = answer
        self._proxy = proxy
        self._heartbeat = heartbeat.total_seconds()
        self._hands = ThreadPoolExecutor(_HANDS, thread_name_prefix="slack")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="socket mode", daemon=True)
        self._stopping = asyncio.Event()
        self._works: OrderedDict[str, Work] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: set[aiohttp.ClientWebSocketResponse] = set()
        self._trouble: str | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the last thing that happened was that a socket opened."""
        return self._trouble == ""

    def start(self) -> None:
        """Begin to listen; what goes wrong is logged, and tried again for ever."""
        self._thread.start()

    def stop(self, patience: timedelta) -> bool:
        """Take nothing new, let what is under way be finished; tell whether it was in time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(patience.total_seconds())
        self._hands.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive() and all(work.done() for work in self._works.values())

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        async with aiohttp.ClientSession() as session:
            listening = asyncio.create_task(self._listen(session))
            await self._stopping.wait()
            under_way = [work for work in self._works.values() if not work.done()]
            if under_way:
                await asyncio.wait(map(asyncio.wrap_future, under_way), timeout=_FINISH_WITHIN)
                await asyncio.sleep(0.05)  # for their acknowledgements
            for task in (listening, *self._tasks):
                task.cancel()
            await asyncio.gather(listening, *self._tasks, return_exceptions=True)
            for socket in self._sockets:  # one whose reading was ended before it began
                await socket.close()

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        """Open one socket after the other; the next when the last one ends, or is about to."""
        pause = _FIRST_PAUSE
        while True:
            socket = await self._open(session)
            if socket is not None:
                self._sockets.add(socket)
                self._note("")
                began, relieved = self._loop.time(), asyncio.Event()
                self._begin(self._read(socket, relieved))
                await relieved.wait()
                if self._loop.time() - began > _SETTLED_AFTER:
                    pause = _FIRST_PAUSE
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
            # its text may hold the address, which is a ticket
            self._note(f"Slack's socket can't be opened: {type(fault).__name__}")
            return None

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, relieved: asyncio.Event) -> None:
        """Read a socket to its end; `relieved` is set when another is to take over."""
        trouble = "Slack's socket was closed"
        try:
            async with asyncio.timeout(None) as deadline:
                async for message in socket:
                    envelope = _parsed(message.data)
                    match envelope.get("type"):
                        case "disconnect" if envelope.get("reason") == "link_disabled":
                            trouble = "Socket Mode is switched off in the Slack app's settings"
                            break
                        case "disconnect":
                            trouble = ""
                            deadline.reschedule(self._loop.time() + _OLD_FOR)
                            relieved.set()
                        case _ if "envelope_id" in envelope and not self._stopping.is_set():
                            self._begin(self._attend(socket, envelope))
        except TimeoutError:
            pass  # the old one, long enough beside the new one
        finally:
            await socket.close()
            self._sockets.discard(socket)
            if trouble and not self._stopping.is_set():
                self._note(trouble)
            relieved.set()

    async def _attend(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        """Acknowledge an envelope when its work is done, or when it has to be."""
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
            log.info("slack.unacknowledged")  # Slack sends it again; it is done once all the same

    def _work(self, request: SlackRequest) -> Work:
        """Begin what is asked, or return it where it was begun before."""
        work = self._works.get(request.id)
        if work is None:
            work = self._hands.submit(self._answered, request)
            self._works[request.id] = work
            if len(self._works) > _REMEMBERED:
                self._works.popitem(last=False)
        return work

    def _answered(self, request: SlackRequest) -> Payload | None:
        try:
            return self._answer(request)
        except Exception:  # the rim of a request: told in the log, and the next one is answered
            log.exception("slack.failed")
            return None

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, trouble: str) -> None:
        """Log how the connection stands, when that changes."""
        if trouble == self._trouble:
            return
        if trouble:
            log.warning("slack.disconnected", extra={"error": trouble})
        else:
            log.info("slack.connected")
        self._trouble = trouble


def _parsed(data: Any) -> Envelope:
    try:
        envelope = json.loads(data)
    except (TypeError, ValueError, RecursionError):  # binary, nothing at all, or nested too deep
        return {}
    return envelope if isinstance(envelope, dict) else {}


class SlackApp:
    """The listener: begins, and ends in order."""

    def __init__(self, handlers: SlackHandlers, connection: SocketMode) -> None:
        self._handlers = handlers
        self._connection = connection

    @property
    def is_connected(self) -> bool:
        """Whether Slack can reach it."""
        return self._connection.is_connected

    def start(self) -> None:
        """Begin to listen."""
        self._connection.start()

    def stop(self, patience: timedelta) -> bool:
        """Take nothing new and finish what is under way; tell whether it was in time."""
        self._handlers.stopping.set()
        return self._connection.stop(patience)


def slack_app_of(
    app: "App", *, on_done: Callable[[], None], heartbeat: timedelta = HEARTBEAT
) -> SlackApp | None:
    """Return the listener of an app; None where no app token is configured."""
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
