"""All routes of the API, and the route that describes them."""

from starlette.routing import Route

from balancebot.web.api import advice, alerts, balances, orders, thresholds
from balancebot.web.api.description import describe
from balancebot.web.api.route import ApiAnswer, ApiRequest, ApiRoute, endpoint_of


def openapi(request: ApiRequest) -> ApiAnswer:
    """Describe the API (OpenAPI 3.1)."""
    return ApiAnswer(content=describe(ROUTES, public_url=request.app.public_url))


ROUTES = (
    *balances.ROUTES,
    *alerts.ROUTES,
    *thresholds.ROUTES,
    *advice.ROUTES,
    *orders.ROUTES,
    ApiRoute(method="GET", path="/openapi.json", handler=openapi, answer=None),
)


def endpoints() -> list[Route]:
    """Return one route per path."""
    paths = dict.fromkeys(route.path for route in ROUTES)
    return [endpoint_of(path, (route for route in ROUTES if route.path == path)) for path in paths]
