"""Permissions of every route: for every role, without a session, with the form of another session, and with a token.

The routes come from the application, so that new ones are tested too. A route that isn't listed here needs `viewer`
to be read and `finance` to be changed.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from starlette.routing import Route

from balancebot.config import Secret
from balancebot.domain.audit import Actor, Via
from balancebot.domain.user import Role
from balancebot.people import tokens
from balancebot.web.app import create_pages
from tests.web.conftest import NOW, Desk, csrf_token

OPEN = {"/healthz", "/readyz", "/metrics", "/login", "/login/oidc", "/login/oidc/callback", "/setup"}
NEEDS = {
    "POST /logout": Role.VIEWER,
    "POST /me/*": Role.VIEWER,
    "GET /thresholds/edit": Role.FINANCE,
    "* /users*": Role.ADMIN,
    "POST /channels/test": Role.ADMIN,
    "POST /api/v1/thresholds/preview": Role.VIEWER,
    "POST /api/v1/orders/preview": Role.VIEWER,
}
CLI = Actor(name="root", via=Via.CLI)


def _needed(method: str, path: str) -> Role:
    for door, role in NEEDS.items():
        pattern = ".*".join(map(re.escape, door.split("*")))
        if re.fullmatch(pattern, f"{method} {path}"):
            return role
    return Role.VIEWER if method == "GET" else Role.FINANCE


def _routes(desk: Desk, *, api: bool) -> Iterator[tuple[str, str, Role]]:
    """Yield method, path and role of each route that isn't open."""
    found = [
        (method, re.sub(r"\{[^}]*\}", "1", route.path), _needed(method, route.path))
        for route in create_pages(desk.app, metrics=bytes).routes
        if isinstance(route, Route) and route.path not in OPEN and route.path.startswith("/api/") == api
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    assert len(found) > (8 if api else 30)
    yield from found


def _asked(browser: httpx.Client, method: str, path: str, **how: object) -> httpx.Response:
    if method != "GET":
        how = {"data": {}, **how}
    return browser.request(method, path, **how)  # type: ignore[arg-type]


def _token(desk: Desk, role: Role, name: str, expires_at: datetime | None = None) -> str:
    token = tokens.add_token(desk.app.database, name=name, role=role, expires_at=expires_at, by=CLI, now=NOW)
    assert isinstance(token, Secret)
    return token.reveal()


def test_every_page_requires_a_session_and_accepts_no_token(desk: Desk) -> None:
    bearer = {"Authorization": f"Bearer {_token(desk, Role.FINANCE, 'program')}"}
    with desk.visitor() as visitor:
        for method, path, _ in _routes(desk, api=False):
            for headers in ({}, bearer, {"Cookie": "balancebot=forged"}):
                answer = _asked(visitor, method, path, headers=headers)
                assert 303 == answer.status_code, (method, path)
                assert answer.headers["location"].startswith("/login"), (method, path)
            assert 401 == _asked(visitor, method, path, headers={"HX-Request": "true"}).status_code


@pytest.mark.parametrize("role", list(Role))
def test_a_page_is_open_only_to_its_roles(desk: Desk, role: Role) -> None:
    with desk.user(role) as browser:
        token = csrf_token(browser)
        for method, path, needed in _routes(desk, api=False):
            if path == "/logout":
                continue
            answer = _asked(
                browser, method, path, **({"data": {"csrf_token": token}} if method != "GET" else {})
            )
            assert answer.status_code < 500, (method, path)
            assert (403 != answer.status_code) == role.may(needed), (method, path, answer.status_code)


def test_a_form_of_another_session_or_site_changes_nothing(desk: Desk) -> None:
    with desk.user(Role.ADMIN) as browser, desk.user(Role.FINANCE) as other:
        own, foreign = csrf_token(browser), csrf_token(other)
        for method, path, _ in _routes(desk, api=False):
            if method == "GET":
                continue
            statuses = [
                _asked(browser, method, path).status_code,
                _asked(browser, method, path, data={"csrf_token": ""}).status_code,
                _asked(browser, method, path, data={"csrf_token": foreign}).status_code,
                _asked(browser, method, f"{path}?csrf_token={own}").status_code,
                *(
                    _asked(
                        browser, method, path, data={"csrf_token": own}, headers={"Origin": origin}
                    ).status_code
                    for origin in ("https://evil.example", "null", "")
                ),
            ]
            assert {403} == set(statuses), (method, path)


def test_every_api_route_requires_a_valid_token(desk: Desk) -> None:
    removed = _token(desk, Role.FINANCE, "removed")
    tokens.remove_token(desk.app.database, name="removed", by=CLI, now=NOW)
    expired = _token(desk, Role.FINANCE, "expired", NOW + timedelta(seconds=1))
    desk.world.clock.pass_by(seconds=2)
    with desk.user(Role.ADMIN) as browser:
        for method, path, _ in _routes(desk, api=True):
            for shown in ("", "Bearer", "Bearer x", f"Bearer {removed}", f"Bearer {expired}", "Basic YTpi"):
                answer = browser.request(method, path, headers={"Authorization": shown} if shown else {})
                assert answer.status_code in {401, 429}, (method, path, shown)
                assert "application/problem+json" == answer.headers["content-type"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.FINANCE])
def test_an_api_route_accepts_only_tokens_of_its_roles(desk: Desk, role: Role) -> None:
    bearer = {"Authorization": f"Bearer {_token(desk, role, role.value)}"}
    with desk.visitor() as program:
        for method, path, needed in _routes(desk, api=True):
            answer = program.request(method, path, headers=bearer)
            assert answer.status_code < 500, (method, path)
            assert 429 != answer.status_code, (method, path)
            assert (403 != answer.status_code) == role.may(needed), (method, path, answer.status_code)
