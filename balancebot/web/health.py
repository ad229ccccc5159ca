"""The doors for machines: no log-in, no secrets, no pages."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


def healthz(request: Request) -> Response:  # noqa: ARG001 -- asks nothing of it
    """Tell that the process is alive."""
    return PlainTextResponse("alive\n")


def readyz(request: Request) -> Response:
    """Tell whether the database answers and the last cycle was on time."""
    why_not = request.app.state.unready()
    return PlainTextResponse(f"{why_not or 'ready'}\n", status_code=503 if why_not else 200)


def metrics(request: Request) -> Response:
    """Answer Prometheus."""
    return Response(request.app.state.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")
