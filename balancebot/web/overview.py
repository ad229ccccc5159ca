"""The overview: every balance, worst first."""

from starlette.responses import Response

from balancebot.web.rendering import show
from balancebot.web.visit import Visit


def overview(visit: Visit) -> Response:
    """Show every balance."""
    return show(visit, "overview.html.j2")
