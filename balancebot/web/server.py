"""Serves the pages in a thread of its own, and limits what a single visitor can use.

Polling and delivery share this process and its file handles. So the number of connections is limited, in total and per
address, and each must send a whole request, and take the whole answer, within a time limit.
"""

import asyncio
import logging
import resource
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)
_UVICORN = logging.getLogger("uvicorn.error")

_DRAIN = timedelta(seconds=3)
"""How long running answers may take after the server is told to stop."""
_MAX_CONNECTIONS = 200
_MAX_PER_ADDRESS = 50
_SHARE_OF_FILES = 4
"""Visitors' connections may use at most one in this many of the process's file handles."""
_HEAD_TIMEOUT, _BODY_TIMEOUT, _ANSWER_TIMEOUT = 10.0, 30.0, 120.0
"""Seconds within which a request's head, its body and its answer must be sent."""
_LOG_EVERY = 60.0
"""Seconds between two log lines about the same problem with connections."""


class WebServer:
    """A running server. `port` is the actual port if 0 was given."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        """Bind and start; raises OSError if the address isn't available."""
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        connections = Connections(max_connections())

        def protocol(*args: Any, **kwargs: Any) -> BoundedConnection:
            return BoundedConnection(*args, connections=connections, **kwargs)

        config = uvicorn.Config(
            app,
            interface="asgi3",  # uvicorn would take a bound method for an older interface
            http=protocol,  # type: ignore[arg-type] # any factory of a protocol works
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,  # `VisitorAddress` knows which proxies are trusted
            ws="none",
            timeout_graceful_shutdown=int(_DRAIN.total_seconds()),
        )
        self._keep = _keep_record(Occasionally())
        _UVICORN.addFilter(self._keep)
        # uvicorn installs no signal handlers outside the main thread
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(_log_fault(Occasionally()))
            runner.run(self._server.serve(sockets=[self._socket]))

    def stop(self) -> None:
        """Finish the running answers, then stop. Idempotent."""
        self._server.should_exit = True
        self._thread.join(timeout=2 * _DRAIN.total_seconds())
        self._socket.close()
        _UVICORN.removeFilter(self._keep)


def serve(app: ASGIApp, *, host: str, port: int) -> WebServer:
    """Serve `app` before this returns; raises OSError if the address isn't available."""
    return WebServer(app, host=host, port=port)


class Connections:
    """The open connections of one server. Used on its event loop only."""

    def __init__(self, limit: int, *, per_address: int = _MAX_PER_ADDRESS) -> None:
        self._limit = limit
        self._per_address = per_address
        self._open: dict[BoundedConnection, None] = {}
        self._dropped = Occasionally()

    def add(self, connection: "BoundedConnection") -> None:
        """Add a connection. If there are too many, drop the one that has been idle longest, or else the new one."""
        self._open[connection] = None
        neighbours = [other for other in self._open if other.address == connection.address]
        if len(neighbours) > self._per_address:
            self._drop_one(neighbours, connection)
        elif len(self._open) > self._limit:
            self._drop_one(list(self._open), connection)

    def remove(self, connection: "BoundedConnection") -> None:
        """Remove a connection that has ended."""
        self._open.pop(connection, None)

    def _drop_one(self, among: "list[BoundedConnection]", newest: "BoundedConnection") -> None:
        idle = (connection for connection in among if connection.is_idle and connection is not newest)
        dropped = next(idle, newest)
        self.remove(dropped)
        dropped.transport.abort()
        if num := self._dropped.due():
            log.warning("web.too_many_connections", extra={"address": dropped.address, "dropped": num})


class BoundedConnection(H11Protocol):
    """A connection that is counted, and closed when a request or its answer takes too long."""

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._waits_for: type | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.address = ""

    @property
    def is_idle(self) -> bool:
        """Whether no complete head of a request has arrived yet."""
        return self.conn.their_state is h11.IDLE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._connections.add(self)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._connections.remove(self)
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the data, and wait for what must come next."""
        super().data_received(data)
        self._set_timer()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waits_for = None
        super().on_response_complete()
        self._set_timer()

    def _set_timer(self) -> None:
        """Start the timer for what must come next; more data of the same part doesn't restart it."""
        state = self.conn.their_state
        if state is self._waits_for:
            return
        self._cancel_timer()
        self._waits_for = state
        if not self.transport.is_closing():
            seconds = {h11.IDLE: _HEAD_TIMEOUT, h11.SEND_BODY: _BODY_TIMEOUT}.get(state, _ANSWER_TIMEOUT)
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Occasionally:
    """Counts a frequent event, and says when a log line is due."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._logged_at: float | None = None
        self._num = 0

    def due(self) -> int:
        """Count one event; if a log line is due, return the number of events since the last one, else 0."""
        self._num += 1
        now = self._clock()
        if self._logged_at is not None and now - self._logged_at < _LOG_EVERY:
            return 0
        num, self._num, self._logged_at = self._num, 0, now
        return num


def max_connections() -> int:
    """Return how many connections may be open at once: polling and delivery need file handles, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        _MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(_MAX_CONNECTIONS, soft // _SHARE_OF_FILES)
    )


def _log_fault(
    occasionally: Occasionally,
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler for errors of the event loop: without file handles, asyncio would log thousands of lines."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "socket.accept() out of system resource" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif num := occasionally.due():
            log.error("web.accept_failed", extra={"error": str(context.get("exception")), "times": num})

    return handle


def _keep_record(occasionally: Occasionally) -> Callable[[logging.LogRecord], bool]:
    """Return a filter for uvicorn's log: one line for each request that isn't HTTP would fill the disk."""

    def keep(record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("Invalid HTTP request"):
            return True
        if num := occasionally.due():
            log.warning("web.invalid_request", extra={"times": num})
        return False

    return keep


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # explicitly TCP, or asyncio doesn't set TCP_NODELAY, and the body follows the headers 40 ms later
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError:
        bound.close()
        raise
    bound.set_inheritable(True)
    return bound
