"""The first log-in: the page behind the link that `run` prints while there is no user."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from balancebot.app import App
from balancebot.config import Secret
from balancebot.people import first_admin
from balancebot.people.log_in import LoggedIn
from balancebot.web.login import let_in
from balancebot.web.rendering import render
from balancebot.web.request import app_of, storable, words_for


async def setup(request: Request) -> Response:
    """Show the form, or create the first admin and log in. The link itself is the proof, so there is no CSRF token."""
    app = app_of(request)
    if request.method != "POST":
        return await run_in_threadpool(_form, app, request, Secret(request.query_params.get("token", "")))
    async with request.form(max_files=0, max_fields=10, max_part_size=16 * 1024) as form:
        fields = {name: storable(value) for name, value in form.items() if isinstance(value, str)}
    return await run_in_threadpool(_create, app, request, fields)


def _create(app: App, request: Request, fields: dict[str, str]) -> Response:
    token, name, password = (
        Secret(fields.get("token", "")),
        fields.get("name", "").strip(),
        fields.get("password", ""),
    )
    now = app.clock.now()
    fault = first_admin.make_first_admin(app.database, token=token, name=name, password=password, now=now)
    if fault is not None:
        return _form(app, request, token, name=name, fault=fault)
    outcome = app.log_in.log_in(name=name, password=password, address="set-up", now=now)
    if not isinstance(outcome, LoggedIn):  # somebody has guessed passwords of this name too often
        return RedirectResponse("/login", status_code=303)
    return let_in(app, outcome.token, outcome.browser, to="/")


def _form(app: App, request: Request, token: Secret, *, name: str = "", fault: str = "") -> Response:
    good = first_admin.is_good(app.database, token, now=app.clock.now())
    text = render(
        app,
        "setup.html.j2",
        words_for(request),
        user=None,
        path=request.url.path,
        is_good=good,
        nobody_yet=first_admin.nobody_yet(app.database),
        link_token=token.reveal(),
        name=name,
        fault=fault if good else "",
    )
    return HTMLResponse(text, status_code=403 if not good else 422 if fault else 200)
