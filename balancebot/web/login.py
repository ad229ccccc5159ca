"""Logging in and out with a password."""

import logging
import math
from datetime import timedelta
from functools import partial

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from balancebot.app import App
from balancebot.config import Secret
from balancebot.domain.sentence import split_address
from balancebot.people.first_admin import nobody_yet
from balancebot.people.log_in import KNOWN_FOR, LoggedIn, LogInRefused, LogInThrottled
from balancebot.web.rendering import render
from balancebot.web.request import (
    PageRequest,
    app_of,
    cookie,
    cookie_name,
    is_https,
    session_token,
    storable,
    words_for,
)

log = logging.getLogger(__name__)

_MAX_WAITING = 20
"""How many log-ins may wait for their turn; each takes a tenth of a second of work."""


async def login(request: Request) -> Response:
    """Show the log-in form, or check what was entered. Needs no CSRF token: nobody is logged in yet."""
    app = app_of(request)
    if request.method != "POST":
        return await run_in_threadpool(
            log_in_form, app, request, next_page=request.query_params.get("next", "/")
        )
    turns: CapacityLimiter = request.app.state.log_in_turns
    if turns.statistics().tasks_waiting >= _MAX_WAITING:
        _note(request, "busy")
        return _busy(app, request)
    async with request.form(max_files=0, max_fields=10, max_part_size=16 * 1024) as form:
        fields = {name: storable(value) for name, value in form.items() if isinstance(value, str)}
    return await to_thread.run_sync(partial(_log_in, app, request, fields), limiter=turns)


def _log_in(app: App, request: Request, fields: dict[str, str]) -> Response:
    name, next_page = fields.get("name", "").strip(), fields.get("next", "/")
    address = request.client.host if request.client is not None else ""
    outcome = app.log_in.log_in(
        name=name,
        password=fields.get("password", ""),
        address=address,
        now=app.clock.now(),
        browser=cookie(request, _known_name(app)),
    )
    words = words_for(request)
    match outcome:
        case LoggedIn(token=token, browser=browser):
            _note(request, "ok", user=name, address=address)
            former = session_token(app, request)
            if former is not None:
                app.log_in.log_out(former)
            return let_in(app, token, browser, to=within(next_page))
        case LogInRefused(user=user):
            _note(request, "refused", user=user, address=address)
            fault = words.gettext("The name or the password is wrong.")
            return log_in_form(app, request, next_page=next_page, name=name, fault=fault, status=401)
        case LogInThrottled(retry_after=wait, user=user):
            _note(request, "throttled", user=user, address=address)
            minutes = math.ceil(wait.total_seconds() / 60)
            fault = words.gettext("Too many wrong passwords. Try again in %(minutes)s min.", minutes=minutes)
            answer = log_in_form(app, request, next_page=next_page, name=name, fault=fault, status=429)
            answer.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
            return answer


def let_in(app: App, token: Secret, browser: Secret | None, *, to: str) -> Response:
    """Redirect to a page, with the cookies of a new session and of a browser in which a password was right."""
    answer = RedirectResponse(to, status_code=303)
    _set_cookie(answer, app, cookie_name(app), token)
    if browser is not None:
        _set_cookie(answer, app, _known_name(app), browser, lasts=KNOWN_FOR)
    return answer


def _note(request: Request, outcome: str, *, user: str = "", address: str = "") -> None:
    """Count an attempt to log in, and log it, so that guessing is noticed."""
    request.app.state.on_log_in(outcome)
    if outcome == "ok":
        log.info("web.logged_in", extra={"user": user, "address": address})
    elif num := request.app.state.log_ins_failed.due():
        log.warning(
            "web.log_in_failed",
            extra={"outcome": outcome, "user": user or "unknown", "address": address, "times": num},
        )


def _busy(app: App, request: Request) -> Response:
    fault = words_for(request).gettext(
        "Too many people are logging in right now. Try again in a few seconds."
    )
    answer = log_in_form(app, request, next_page="/", fault=fault, status=429)
    answer.headers["Retry-After"] = "5"
    return answer


def log_out(request: PageRequest) -> Response:
    """End the session and forget the cookie."""
    token = session_token(request.app, request.http)
    if token is not None:
        request.app.log_in.log_out(token)
    answer = RedirectResponse("/login?left=1" if request.user.vouched else "/login", status_code=303)
    answer.delete_cookie(cookie_name(request.app), path="/", secure=is_https(request.app), httponly=True)
    return answer


def _set_cookie(
    answer: Response, app: App, name: str, secret: Secret, *, lasts: timedelta | None = None
) -> None:
    """Set a cookie that no script can read. Without `lasts` it ends with the browser."""
    answer.set_cookie(
        name,
        secret.reveal(),
        max_age=None if lasts is None else int(lasts.total_seconds()),
        httponly=True,
        secure=is_https(app),
        # lax, so that the session also works for links from Slack or a mail
        samesite="lax",
        path="/",
    )


def _known_name(app: App) -> str:
    return f"{cookie_name(app)}-known"


def log_in_form(
    app: App, request: Request, *, next_page: str, name: str = "", fault: str = "", status: int = 200
) -> Response:
    """Show the log-in form."""
    has_left = "left" in request.query_params and app.openid is not None
    text = render(
        app,
        "login.html.j2",
        words_for(request),
        user=None,
        path=request.url.path,
        next_page=within(next_page),
        nobody_yet=nobody_yet(app.database),
        sign_on=None if app.openid is None else app.openid.host,
        end_page=app.openid.end_session_page(now=app.clock.now()) if has_left and app.openid else "",
        name=name,
        fault=fault,
    )
    return HTMLResponse(text, status_code=status)


def within(address: str) -> str:
    """Return `address` if it is our page, else the overview: a link must not lead to another site after log-in."""
    parts = split_address(address)
    ours = (
        parts is not None
        and not parts.netloc
        and address.startswith("/")
        and not address.startswith(("//", "/\\"))
    )
    return address if ours and address.isprintable() and "\\" not in address else "/"
