"""Creates the web application: all addresses and who may use them, monitoring, and the pages for errors."""

import hmac
import logging
from collections.abc import Callable
from http import HTTPStatus

from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from balancebot import packaged
from balancebot.app import App
from balancebot.domain.sentence import sentence
from balancebot.domain.user import Role
from balancebot.people import log_in
from balancebot.store.configurations import RunningConfiguration
from balancebot.store.errors import DatabaseError
from balancebot.web import (
    advice,
    alerts,
    audit,
    channels,
    login,
    orders,
    overview,
    people,
    planned_sends,
    setup,
    sheets,
    sign_on,
    statements,
    threshold_bulk,
    thresholds,
    undo,
    wallet,
)
from balancebot.web.api import routes as api
from balancebot.web.api.problem import is_for_api, problem
from balancebot.web.api.route import ApiBudgets
from balancebot.web.guard import Guard
from balancebot.web.overview_lists import OverviewLists
from balancebot.web.proxies import VisitorAddress
from balancebot.web.rendering import render, show
from balancebot.web.request import app_of, change, page, page_request_of, words_for
from balancebot.web.server import Occasionally

_MAX_BODIES = {
    "/login": 16 * 1024,
    "/thresholds/sheet": 8 * 1024 * 1024,  # tens of thousands of rows
    "/thresholds/sheet/apply": 1024 * 1024,  # the same, packed
}
"""The largest requests of some paths, in bytes; all other paths take less."""

log = logging.getLogger(__name__)


def create_pages(
    app: App,
    *,
    metrics: Callable[[], bytes],
    unready: Callable[[], str] | None = None,
    configuration: Callable[[], RunningConfiguration | None] = lambda: None,
    on_log_in: Callable[[str], object] = lambda _: None,
) -> Starlette:
    """Return the application that serves all addresses of the contract. `metrics` returns text for Prometheus.

    `on_log_in` is called with the outcome of each attempt to log in: ok, refused, throttled or busy.

    `unready` returns why the process isn't ready, in a line, or '' if it is; by default the app decides.
    `configuration` returns the running configuration, and why a newer one was refused.
    """
    pages = Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            Route("/metrics", _metrics),
            Mount("/static", _Static(directory=packaged("templates") / "web" / "static")),
            Route("/login", login.login, methods=["GET", "POST"]),
            Route(sign_on.PATH, sign_on.begin),
            Route(f"{sign_on.PATH}/callback", sign_on.callback),
            Route("/setup", setup.setup, methods=["GET", "POST"]),
            change("/logout", login.log_out, needs=Role.VIEWER),
            page("/", overview.overview),
            page("/balances.csv", overview.to_csv),
            page("/users", people.users_page, needs=Role.ADMIN),
            page("/users.csv", people.to_csv, needs=Role.ADMIN),
            change("/users/add", people.add, needs=Role.ADMIN),
            change("/users/role", people.set_role, needs=Role.ADMIN),
            change("/users/password", people.set_password, needs=Role.ADMIN),
            change("/users/sessions", people.end_sessions, needs=Role.ADMIN),
            change("/users/remove", people.remove, needs=Role.ADMIN),
            page("/wallets/{name:path}", wallet.wallet),
            page("/days.csv", wallet.days_to_csv),
            page("/thresholds", thresholds.table),
            page("/thresholds/edit", thresholds.editor, needs=Role.FINANCE),
            page("/thresholds/sheet", sheets.form),
            page("/thresholds/sheet.csv", sheets.download_csv),
            page("/thresholds/sheet.xlsx", sheets.download_xlsx),
            change("/thresholds/sheet", sheets.upload),
            change("/thresholds/sheet/apply", sheets.apply),
            page("/thresholds/line", thresholds.cancelled),
            change("/thresholds/preview", thresholds.preview),
            change("/thresholds/backtest", thresholds.backtest),
            change("/thresholds/save", thresholds.save),
            change("/thresholds/remove", thresholds.remove),
            change("/thresholds/bulk", threshold_bulk.choose),
            change("/thresholds/bulk/preview", threshold_bulk.preview),
            page("/alerts", alerts.listed),
            page("/alerts.csv", alerts.to_csv),
            change("/alerts/acknowledge", alerts.acknowledge_many),
            change("/alerts/silence", alerts.silence_many),
            page("/alerts/{id}", alerts.alert_page),
            change("/alerts/{id}/acknowledge", alerts.acknowledge),
            change("/alerts/{id}/deliveries/{delivery}/resend", alerts.resend),
            page("/silences.csv", alerts.silences_to_csv),
            change("/silences/add", alerts.silence),
            change("/silences/{id}/end", alerts.end_silence),
            page("/channels", channels.channels),
            page("/channels.csv", channels.to_csv),
            change("/channels/test", channels.send_test, needs=Role.ADMIN),
            page("/plans", planned_sends.coming),
            page("/plans.csv", planned_sends.to_csv),
            change("/plans/add", planned_sends.announce),
            change("/plans/{id}/remove", planned_sends.take_back),
            page("/orders", orders.listed),
            change("/orders/add", orders.add),
            page("/orders/advice", advice.advised),
            page("/orders/advice.csv", advice.to_csv),
            page("/orders/advice.xlsx", advice.to_xlsx),
            page("/orders.csv", orders.to_csv),
            page("/orders/{id}", orders.order_page),
            change("/orders/{id}/cancel", orders.cancel),
            change("/orders/{id}/match", orders.match),
            page("/statements", statements.month),
            page("/statements.csv", statements.download_csv),
            page("/statements.xlsx", statements.download_xlsx),
            page("/audit", audit.audit_page),
            page("/audit.csv", audit.to_csv),
            change("/audit/{id}/undo", undo.undo),
            change("/audit/{id}/undo-all", undo.undo_all),
            page("/me", people.me),
            change("/me/preferences", people.set_my_preferences, needs=Role.VIEWER),
            change("/me/password", people.set_my_password, needs=Role.VIEWER),
            change("/me/sessions", people.end_my_other_sessions, needs=Role.VIEWER),
            *api.endpoints(),
        ],
        middleware=[
            Middleware(
                VisitorAddress, trusted=() if app.settings.web is None else app.settings.web.trusted_proxies
            ),
            Middleware(
                Guard,
                public_url=app.public_url,
                hosts=_hosts(app),
                max_bodies=_MAX_BODIES,
                on_failure=_failed,
            ),
        ],
        exception_handlers={HTTPException: _refused, DatabaseError: _without_database},
    )
    pages.state.app = app
    pages.state.metrics = metrics
    pages.state.on_log_in = on_log_in
    pages.state.log_in_turns = CapacityLimiter(log_in.AT_ONCE)
    pages.state.log_ins_failed = Occasionally()
    pages.state.unready = unready or app.unready
    pages.state.configuration = configuration
    pages.state.lists = OverviewLists()
    pages.state.api_budgets = ApiBudgets()
    return pages


async def _healthz(request: Request) -> Response:  # noqa: ARG001 -- needs nothing from it
    """Answer that the process is alive."""
    return PlainTextResponse("alive\n")


def _readyz(request: Request) -> Response:
    """Answer whether the database works and the last cycle was on time."""
    if not _may_watch(request):
        return _without_token()
    why_not = request.app.state.unready()
    configuration: RunningConfiguration | None = request.app.state.configuration()
    lines = [
        why_not or "ready",
        *app_of(request).damage_remarks(),
        *(configuration.remarks() if configuration else ()),
    ]
    return PlainTextResponse("\n".join(lines) + "\n", status_code=503 if why_not else 200)


def _metrics(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    if not _may_watch(request):
        return _without_token()
    return Response(request.app.state.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _without_token() -> Response:
    return PlainTextResponse(
        "this needs the token of [web].metrics_token: Authorization: Bearer TOKEN\n",
        status_code=401,
        headers={"WWW-Authenticate": 'Bearer realm="balancebot"'},
    )


def _may_watch(request: Request) -> bool:
    """Return whether a request has the configured token; without a configured token everybody may."""
    web = app_of(request).settings.web
    if web is None or web.metrics_token is None:
        return True
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        shown.strip().encode(), web.metrics_token.reveal().encode()
    )


def _hosts(app: App) -> tuple[str, ...]:
    web = app.settings.web
    return () if web is None else (web.listen.host, *web.hosts)


class _Static(StaticFiles):
    """Static files. Their address changes when they change, so browsers may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if answer.status_code == HTTPStatus.OK and b"v=" in scope["query_string"]:
            answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- the handler is registered for it
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
    message = detail or _MESSAGES.get(error.status_code, "")
    try:
        page_request = None if is_for_api(request.url.path) else page_request_of(request)
    except (DatabaseError, HTTPException):
        page_request = None  # show the error all the same
    if page_request is None:
        answer = _error_page(request, error.status_code, message)
    else:
        code, explanation = error.status_code, page_request.words.gettext(message)
        answer = show(page_request, "trouble.html.j2", status=code, code=code, explanation=explanation)
    answer.headers.update(error.headers or {})
    return answer


def _without_database(request: Request, error: Exception) -> Response:
    log.warning("web.database", extra={"path": request.url.path, "error": str(error)})
    return _error_page(
        request, 503, sentence("The database can't be reached right now. Nothing was changed.").id
    )


def _failed(request: Request, error: Exception) -> Response:
    # an error before the request reaches a page: the scope has no app yet
    blamed = app_of(request).database.blamed_for(error) if "app" in request.scope else None
    if blamed is not None:
        return _without_database(request, blamed)
    log.error("web.failed", extra={"path": request.url.path}, exc_info=error)
    return _error_page(request, 500, sentence("Something is wrong on our side; it has been logged.").id)


_MESSAGES = {
    404: sentence("This page doesn't exist.").id,
    405: sentence("This page doesn't support this request.").id,
}


def _error_page(request: Request, status: int, message: str) -> Response:
    if is_for_api(request.url.path):
        return problem(status, message or HTTPStatus(status).phrase)
    words = words_for(request)
    explanation = words.gettext(message)
    text = render(
        app_of(request),
        "trouble.html.j2",
        words,
        user=None,
        path=request.url.path,
        code=status,
        explanation=explanation,
    )
    return HTMLResponse(text, status_code=status)
