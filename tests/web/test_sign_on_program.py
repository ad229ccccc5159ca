"""The complete log-in at an independent provider in a separate process: `oidc-provider-mock`.

It shows that we understand OpenID Connect like others. `test_sign_on.py` tests wrong answers, and what this provider
doesn't do: it checks neither the secret nor the proof of the key exchange, and forgets `state` in a refusal.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx
import pytest

from balancebot.clock import SystemClock
from balancebot.config import OidcConfig, Secret, WebConfig
from balancebot.domain.user import Role
from balancebot.people import users
from tests.web.conftest import Desk, csrf_token

GROUPS = {"grp-finance": Role.FINANCE, "grp-ops": Role.ADMIN}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The URL of the running provider."""
    program = subprocess.Popen(
        [Path(sys.executable).with_name("oidc-provider-mock"), "--port", "0", "--require-nonce"],
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        assert program.stderr is not None
        found = None
        for line in program.stderr:
            if found := re.search(r"http://127\.0\.0\.1:[0-9]+", line):
                break
        assert found is not None, f"it ended with {program.wait()}"
        yield found[0]
        program.terminate()
        program.stderr.read()  # a full pipe would block the provider


@dataclass
class SignOn:
    """Pages whose users log in at this provider."""

    desk: Desk
    issuer: str

    def is_known(self, name: str, **claims: object) -> None:
        """Add a user to the provider, who has this name from now on."""
        user = {"preferred_username": name, **claims}
        assert httpx.put(f"{self.issuer}/users/{name}", json=user, trust_env=False).is_success

    def log_in(self, browser: httpx.Client, form: dict[str, str], next_page: str = "/") -> httpx.Response:
        """Open the provider, send its form, and return the last answer."""
        begun = browser.get("/login/oidc", params={"next": next_page})
        assert 303 == begun.status_code, begun.text
        page = browser.get(begun.headers["location"])
        assert (200, True) == (page.status_code, "Authorize Client" in page.text), page.text
        back = browser.post(page.url, data=form)
        assert 302 == back.status_code, back.text
        return browser.get(back.headers["location"])


@pytest.fixture
def sign_on(open_desk: Callable[..., Desk], issuer: str) -> Iterator[SignOn]:
    oidc = OidcConfig(issuer=issuer, client_id="balances", client_secret=Secret("s3cret"), roles=GROUPS)
    # the address of the pages is only known once they are served
    desk = open_desk(web=WebConfig(public_url="http://127.0.0.1", oidc=oidc, default_role=None))
    desk.world.clock.at = SystemClock().now()  # the provider has no other clock
    assert desk.app.openid is not None
    desk.app.openid._redirect_uri = f"{desk.address}/login/oidc/callback"
    yield SignOn(desk=desk, issuer=issuer)
    desk.app.release()


def test_a_member_of_a_group_is_logged_in_with_its_role_and_sent_to_the_linked_page(sign_on: SignOn) -> None:
    sign_on.is_known("grace", groups=["others", "grp-finance"])
    with sign_on.desk.visitor() as browser:
        assert "/login/oidc?next=%2Falerts" in browser.get("/login?next=/alerts").text
        answer = sign_on.log_in(browser, {"sub": "grace"}, "/alerts")
        assert (303, "/alerts") == (answer.status_code, answer.headers["location"])
        page = browser.get("/me").text
        assert 403 == browser.get("/users").status_code
    assert "grace" in page
    assert "another service vouches for you" in page
    (user,) = [user for user in users.list_users(sign_on.desk.app.database) if user.name == "grace"]
    assert (Role.FINANCE, True) == (user.role, user.vouched)


def test_a_user_who_lost_the_groups_is_refused_and_open_sessions_end(sign_on: SignOn) -> None:
    sign_on.is_known("grace", groups=["grp-ops"])
    with sign_on.desk.visitor() as before, sign_on.desk.visitor() as browser:
        sign_on.log_in(before, {"sub": "grace"})
        assert 200 == before.get("/users").status_code
        sign_on.is_known("grace", groups=["others"])
        answer = sign_on.log_in(browser, {"sub": "grace"})
        assert 403 == answer.status_code
        assert "grace has no role here" in answer.text
        assert 303 == before.get("/").status_code
    assert "grace" not in {user.name for user in users.list_users(sign_on.desk.app.database)}


def test_a_log_out_ends_the_session_and_leads_to_the_log_out_of_the_provider(sign_on: SignOn) -> None:
    sign_on.is_known("grace", groups=["grp-ops"])
    with sign_on.desk.visitor() as browser:
        sign_on.log_in(browser, {"sub": "grace"})
        answer = browser.post("/logout", data={"csrf_token": csrf_token(browser)})
        assert "/login?left=1" == answer.headers["location"]
        page = browser.get("/login?left=1").text
        found = re.search(rf'href="({re.escape(sign_on.issuer)}/[^"]+)"', page)
        assert found is not None, page
        there = browser.get(unescape(found[1]))
        assert (200, True) == (there.status_code, "End Session" in there.text)
        assert 303 == browser.get("/").status_code


def test_a_log_in_interrupted_by_a_reload_is_reported(sign_on: SignOn) -> None:
    sign_on.desk.app.release()
    with sign_on.desk.visitor() as browser:
        answer = browser.get("/login/oidc")
    assert (502, True) == (answer.status_code, "can&#39;t be reached" in answer.text)
