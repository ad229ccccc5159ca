"""Log-in by OpenID Connect: to the identity provider and back."""

import logging

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from balancebot.app import App
from balancebot.people.vouched import role_of_groups, vouched_user
from balancebot.web.login import let_in, log_in_form, within
from balancebot.web.request import app_of, cookie, cookie_name, is_https, storable, words_for

log = logging.getLogger(__name__)

PATH = "/login/oidc"
_NO_ROLE = 403


async def begin(request: Request) -> Response:
    """Redirect to the identity provider."""
    return await run_in_threadpool(_begin, app_of(request), request)


async def callback(request: Request) -> Response:
    """Log in the user whom the identity provider has authenticated."""
    return await run_in_threadpool(_callback, app_of(request), request)


def _begin(app: App, request: Request) -> Response:
    from balancebot.people.openid import (  # lazy: joserfc; only with [web.oidc]
        ATTEMPT_LASTS,
        OpenIdError,
        written,
    )

    service = app.openid
    if service is None:
        return RedirectResponse("/login", status_code=303)
    next_page = within(request.query_params.get("next", "/"))[:1000]
    try:
        place, attempt = service.begin(next_page, now=app.clock.now())
    except OpenIdError as error:
        return _failed(app, request, error.fault, str(error))
    answer = RedirectResponse(place, status_code=303)
    answer.set_cookie(
        _cookie_name(app),
        app.log_in.sealed(written(attempt)),
        max_age=int(ATTEMPT_LASTS.total_seconds()),
        httponly=True,
        secure=is_https(app),
        samesite="lax",  # the provider returns here by a link
        path="/",
    )
    return answer


def _callback(app: App, request: Request) -> Response:
    from balancebot.people.openid import OpenIdError, read  # lazy: joserfc; only with [web.oidc]

    service, web, now = app.openid, app.settings.web, app.clock.now()
    if service is None or web is None or web.oidc is None:
        return RedirectResponse("/login", status_code=303)
    kept = cookie(request, _cookie_name(app))
    text = None if kept is None else app.log_in.unsealed(kept.reveal())
    attempt = None if text is None else read(text)
    given = {name: storable(value) for name, value in request.query_params.items()}
    try:
        identity = service.finish(given, attempt, now=now)
    except OpenIdError as error:
        return _failed(app, request, error.fault, str(error))
    role = role_of_groups(identity.groups, web.oidc.roles, web.default_role)
    user = vouched_user(app.database, name=identity.name, role=role, now=now)
    if user is None:
        log.warning("web.sign_on_refused", extra={"user": identity.name})
        message = words_for(request).gettext(
            "%(name)s has no role here. Ask an admin to add it, or to give a role to one of your groups.",
            name=identity.name,
        )
        return log_in_form(app, request, next_page="/", fault=message, status=_NO_ROLE)
    answer = let_in(
        app,
        app.log_in.start_session(user.name, now=now),
        None,
        to=within(attempt.next_page if attempt is not None else "/"),
    )
    answer.delete_cookie(_cookie_name(app), path="/", secure=is_https(app), httponly=True)
    return answer


def _failed(app: App, request: Request, fault: str, why: str) -> Response:
    log.warning("web.sign_on_failed", extra={"error": why})
    return log_in_form(app, request, next_page="/", fault=words_for(request).gettext(fault), status=502)


def _cookie_name(app: App) -> str:
    return f"{cookie_name(app)}-sign-on"
