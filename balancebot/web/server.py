"""Serves the pages from a thread of its own. Signals stay with whoever started it."""

import socket
import threading
from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp

_DRAIN = timedelta(seconds=3)
"""How long answers under way may take once it is told to stop."""


class WebServer:
    """A running server. `port` tells the one that was given where 0 was asked for."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        """Bind and start; raises OSError where the address can't be had."""
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=int(_DRAIN.total_seconds()),
        )
        # outside the main thread uvicorn installs no signal handlers
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer what is under way, then end. Idempotent."""
        self._server.should_exit = True
        self._thread.join(timeout=2 * _DRAIN.total_seconds())
        self._socket.close()


def serve(app: ASGIApp, *, host: str, port: int) -> WebServer:
    """Serve `app` at once, before this returns; raises OSError where the address can't be had."""
    return WebServer(app, host=host, port=port)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or asyncio leaves out TCP_NODELAY: headers and body then lie 40 ms apart
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
