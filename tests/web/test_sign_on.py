"""Log-in by OpenID Connect: users confirmed by the provider get the role of their groups, and others are refused.

The provider is a stand-in that can send wrong answers; `test_sign_on_program.py` logs in at a real one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
from joserfc.jwk import RSAKey

from balancebot.config import OidcConfig, Secret, WebConfig
from balancebot.domain.user import Role
from tests.standins.openid import CLIENT, SECRET, Provider, provider
from tests.web.browser import PASSWORD
from tests.web.conftest import NOW, Desk, csrf_token

GROUPS = {"grp-finance": Role.FINANCE, "grp-ops": Role.ADMIN}


@dataclass
class SignOn:
    """Pages whose users log in at a provider."""

    desk: Desk
    provider: Provider

    def log_in(self, browser: httpx.Client, next_page: str = "/") -> httpx.Response:
        """Follow all redirects, as a browser does, and return the last answer."""
        to_provider = browser.get("/login/oidc", params={"next": next_page})
        assert 303 == to_provider.status_code, to_provider.text
        back = browser.get(to_provider.headers["location"])
        return browser.get(back.headers["location"])


@pytest.fixture
def sign_on(open_desk: Callable[..., Desk]) -> Iterator[SignOn]:
    with provider() as openid:
        openid.now = int(NOW.timestamp())
        oidc = OidcConfig(issuer=openid.issuer, client_id=CLIENT, client_secret=Secret(SECRET), roles=GROUPS)
        # the address of the pages is only known once they are served
        desk = open_desk(web=WebConfig(public_url="http://127.0.0.1", oidc=oidc, default_role=None))
        service = desk.app.openid
        assert service is not None
        service._redirect_uri = f"{desk.address}/login/oidc/callback"
        yield SignOn(desk=desk, provider=openid)


def test_the_highest_of_several_groups_counts_and_changes_apply_at_the_next_log_in(sign_on: SignOn) -> None:
    with sign_on.desk.visitor() as browser:
        for groups, status in ((["grp-finance", "grp-ops"], 200), (["grp-finance"], 403)):
            sign_on.provider.in_userinfo["groups"] = groups
            assert 303 == sign_on.log_in(browser).status_code
            assert status == browser.get("/users").status_code
    assert [] == sign_on.provider.faults


def test_an_existing_user_gets_the_role_of_the_groups_and_keeps_the_password(sign_on: SignOn) -> None:
    sign_on.provider.user |= {"preferred_username": "viewer", "groups": ["grp-ops"]}
    with sign_on.desk.visitor() as browser, sign_on.desk.user(Role.VIEWER) as other:
        assert 303 == sign_on.log_in(browser).status_code
        assert [403, 403] == [who.get("/users").status_code for who in (browser, other)]


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": None, "email": "ada@example.com"}, "ada@example.com"),
        ({"preferred_username": "", "email": "ada@example.com", "email_verified": False}, "u-1"),
    ],
)
def test_the_name_of_a_user_comes_from_the_provider(
    sign_on: SignOn, claims: dict[str, object], name: str
) -> None:
    sign_on.provider.user |= {**claims, "groups": "grp-ops"}
    with sign_on.desk.visitor() as browser:
        sign_on.log_in(browser)
        assert name in browser.get("/me").text


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "http://127.0.0.1:1"},
        {"aud": "another"},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"nonce": "another"},
        {"exp": int(NOW.timestamp()) - 3600},
        {"iat": int(NOW.timestamp()) + 3600},
        {"sub": ""},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_log_in_is_refused(sign_on: SignOn, changes: dict[str, object]) -> None:
    sign_on.provider.user["groups"] = ["grp-ops"]
    sign_on.provider.changes = changes
    with sign_on.desk.visitor() as browser:
        answer = sign_on.log_in(browser)
        assert 502 == answer.status_code
        assert "answer can&#39;t be accepted" in answer.text
        assert 303 == browser.get("/").status_code


def test_a_forged_signature_is_refused_and_a_changed_key_is_fetched_again(sign_on: SignOn) -> None:
    sign_on.provider.user["groups"] = ["grp-ops"]
    with sign_on.desk.visitor() as browser:
        assert 303 == sign_on.log_in(browser).status_code
        sign_on.provider.foreign = RSAKey.generate_key(2048, {"kid": "first"})
        assert 502 == sign_on.log_in(browser).status_code
        sign_on.provider.foreign = None
        sign_on.provider.change_key("second")
        sign_on.desk.world.clock.at += timedelta(minutes=2)
        assert 303 == sign_on.log_in(browser).status_code


def test_a_code_is_only_valid_in_the_browser_that_began_the_log_in(sign_on: SignOn) -> None:
    sign_on.provider.user["groups"] = ["grp-ops"]
    with sign_on.desk.visitor() as browser, sign_on.desk.visitor() as other:
        back = browser.get(browser.get("/login/oidc").headers["location"]).headers["location"]
        assert 502 == other.get(back).status_code
        assert 502 == browser.get(back.replace("state=", "state=x")).status_code
        assert 502 == browser.get(back.replace("iss=", "iss=x")).status_code
        assert 303 == browser.get(back).status_code
        assert 502 == browser.get(back).status_code
        begun = browser.get(browser.get("/login/oidc").headers["location"]).headers["location"]
        sign_on.desk.world.clock.at += timedelta(minutes=11)
        assert 502 == browser.get(begun).status_code


def test_a_client_without_basic_authentication_sends_its_secret_in_the_form(sign_on: SignOn) -> None:
    sign_on.provider.auth_methods = ["client_secret_post"]
    sign_on.provider.user["groups"] = ["grp-ops"]
    with sign_on.desk.visitor() as browser:
        assert 303 == sign_on.log_in(browser).status_code


def test_a_refusal_and_an_outage_are_shown_and_passwords_still_work(sign_on: SignOn) -> None:
    sign_on.provider.refuses = True
    with sign_on.desk.visitor() as browser:
        assert "refused the log-in" in sign_on.log_in(browser).text
    with provider() as gone:
        pass
    service = sign_on.desk.app.openid
    assert service is not None
    service._known, service._config = (
        None,
        OidcConfig(issuer=gone.issuer, client_id=CLIENT, client_secret=Secret(SECRET), roles=GROUPS),
    )
    with sign_on.desk.visitor() as browser:
        answer = browser.get("/login/oidc")
        assert (502, True) == (answer.status_code, "can&#39;t be reached" in answer.text)
        assert 303 == browser.post("/login", data={"name": "viewer", "password": PASSWORD}).status_code


def test_a_session_by_sign_on_lasts_half_a_day_at_most(sign_on: SignOn) -> None:
    sign_on.provider.user["groups"] = ["grp-ops"]
    with sign_on.desk.visitor() as browser:
        sign_on.log_in(browser)
        for _ in range(11):
            sign_on.desk.world.clock.at += timedelta(hours=1)
            assert 200 == browser.get("/me").status_code
        sign_on.desk.world.clock.at += timedelta(hours=1)
        assert 303 == browser.get("/me").status_code


PROXY = WebConfig(
    public_url="http://127.0.0.1",
    user_header="X-Forwarded-User",
    trusted_proxies=(ip_network("127.0.0.1"),),
    default_role=Role.VIEWER,
)


def test_a_trusted_proxy_logs_in_the_named_user(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(web=PROXY)
    with desk.visitor() as browser:
        page = browser.get("/me", headers=[(b"X-Forwarded-User", "结账组".encode())]).text
        assert "结账组" in page
        assert "Log out" not in page
        for name, status in (("new", 403), ("admin", 200)):
            assert status == browser.get("/users", headers={"X-Forwarded-User": name}).status_code
        browser.headers["X-Forwarded-User"] = "finance"
        browser.headers["X-Forwarded-For"] = "203.0.113.9"
        change = {"language": "zh-CN", "csrf_token": csrf_token(browser)}
        assert 303 == browser.post("/me/preferences", data=change).status_code
        assert 403 == browser.post("/me/preferences", data=change | {"csrf_token": "x"}).status_code
        browser.headers["X-Forwarded-User"] = "admin"
        assert 403 == browser.post("/users/add", data=change).status_code


@pytest.mark.parametrize("networks", ["10.0.0.0/8", "127.0.0.2/32"])
def test_an_untrusted_proxy_logs_nobody_in(open_desk: Callable[..., Desk], networks: str) -> None:
    desk = open_desk(web=replace(PROXY, trusted_proxies=(ip_network(networks),)))
    with desk.visitor() as browser:
        for spoofed in ({}, {"X-Forwarded-For": "10.0.0.1"}, {"X-Forwarded-For": "127.0.0.2"}):
            answer = browser.get("/", headers={"X-Forwarded-User": "admin", **spoofed})
            assert (303, "/login?next=/") == (answer.status_code, answer.headers["location"])


def test_a_user_without_a_role_and_a_request_with_two_names_are_refused(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(web=replace(PROXY, default_role=None))
    with desk.visitor() as browser:
        answer = browser.get("/", headers={"X-Forwarded-User": "stranger"})
        assert (403, True) == (answer.status_code, "You have no role here." in answer.text)
        assert 200 == browser.get("/", headers={"X-Forwarded-User": "viewer"}).status_code
        doubled = [("X-Forwarded-User", "viewer"), ("X-Forwarded-User", "admin")]
        assert 403 == browser.get("/", headers=doubled).status_code
        assert 303 == browser.get("/").status_code


ODD: tuple[object, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "http://[", "javascript:x", "\ud800", "a\0b", [], [None], ["x"], [{}], {},
    {"keys": 5}, {"keys": ["x"]}, {"keys": [{"kty": 5}]}, {"keys": [{"kty": "RSA", "n": 1}]},
)  # fmt: skip
PLACES = (
    "/.well-known/openid-configuration", "/jwks", "/jwks keys", "/token", "/token id_token", "/token access_token",
    "/userinfo", "/userinfo sub", "/userinfo groups", "/userinfo preferred_username",
    *(f"/.well-known/openid-configuration {key}" for key in (
        "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint",
        "scopes_supported", "token_endpoint_auth_methods_supported",
    )),
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_any_answer_of_a_provider_is_a_log_in_or_a_refusal(sign_on: SignOn, place: str) -> None:
    service = sign_on.desk.app.openid
    assert service is not None
    sign_on.provider.in_userinfo["groups"] = ["grp-ops"]
    sign_on.provider.user.pop("preferred_username")
    with sign_on.desk.visitor() as browser:
        for value in ODD:
            service._known = service._failed = service._keys = None
            sign_on.provider.overrides = {place: value}
            answer = browser.get("/login/oidc")
            if answer.status_code == 303 and answer.headers["location"].startswith(sign_on.provider.issuer):
                back = browser.get(answer.headers["location"])
                if back.status_code == 303:
                    answer = browser.get(back.headers["location"])
            assert (value, True) == (value, answer.status_code in {303, 403, 404, 502}), answer.text
            assert 200 == browser.get("/login?left=1").status_code


@pytest.mark.parametrize(
    "name",
    ["sub", "preferred_username", "email", "groups", "exp", "iat", "nbf", "aud", "azp", "iss", "nonce"],
)
def test_any_claims_of_a_token_are_a_log_in_or_a_refusal(sign_on: SignOn, name: str) -> None:
    with sign_on.desk.visitor() as browser:
        for value in ODD:
            sign_on.provider.changes = {name: value}
            answer = sign_on.log_in(browser)
            assert (value, True) == (value, answer.status_code in {303, 403, 502}), answer.text
