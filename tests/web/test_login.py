"""Nothing is shown or changed without a session, and nothing is changed by another site."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from balancebot.config import WebConfig
from balancebot.domain.user import Role
from balancebot.web.app import create_pages
from balancebot.web.server import serve
from tests.patience import PATIENCE
from tests.web.browser import PASSWORD
from tests.web.conftest import Desk, csrf_token, pages_of
from tests.world import World


def test_a_page_without_a_session_redirects_to_the_log_in_and_back(desk: Desk) -> None:
    with desk.visitor() as visitor:
        answer = visitor.get("/?q=acme/checkout")
        assert (303, "/login?next=/%3Fq%3Dacme/checkout") == (answer.status_code, answer.headers["location"])
        assert 'name="next" value="/?q=acme/checkout"' in visitor.get(answer.headers["location"]).text

        answer = visitor.post(
            "/login", data={"name": "viewer", "password": PASSWORD, "next": "/?q=acme/checkout"}
        )
        assert (303, "/?q=acme/checkout") == (answer.status_code, answer.headers["location"])
        assert 200 == visitor.get("/").status_code


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "x", "/a\nb"]
)
def test_the_log_in_never_redirects_to_another_site(desk: Desk, elsewhere: str) -> None:
    with desk.visitor() as visitor:
        answer = visitor.post("/login", data={"name": "viewer", "password": PASSWORD, "next": elsewhere})
    assert "/" == answer.headers["location"]


def test_a_wrong_password_is_reported_and_many_are_throttled(desk: Desk) -> None:
    with desk.visitor() as visitor:
        wrong = {"name": "viewer", "password": "wrong"}
        answers = [visitor.post("/login", data=wrong) for _ in range(6)]
    assert [401] * 5 + [429] == [answer.status_code for answer in answers]
    assert "The name or the password is wrong." in answers[0].text
    assert "60" == answers[5].headers["retry-after"]


def test_a_known_browser_is_not_locked_out_by_guesses_of_others(desk: Desk) -> None:
    with desk.user_with_password(Role.VIEWER) as browser, desk.visitor() as stranger:
        for _ in range(21):
            stranger.post("/login", data={"name": "viewer", "password": "wrong"})
        right = {"name": "viewer", "password": PASSWORD}
        assert [429, 303] == [who.post("/login", data=right).status_code for who in (stranger, browser)]


def test_the_cookie_is_http_only_and_secure_behind_https(
    open_desk: Callable[..., Desk],
) -> None:
    login = {"name": "viewer", "password": PASSWORD}
    with open_desk().visitor() as visitor:
        plain = visitor.post("/login", data=login).headers.get_list("set-cookie")
    desk = open_desk(web=WebConfig(public_url="https://balances.example.com"))
    with desk.visitor() as visitor:
        answer = visitor.post("/login", data=login, headers={"Origin": "https://balances.example.com"})
    secure = answer.headers.get_list("set-cookie")
    assert ["HttpOnly", "Path=/", "SameSite=lax"] == plain[0].split("; ")[1:]
    assert ["HttpOnly", "Max-Age=15552000", "Path=/", "SameSite=lax"] == plain[1].split("; ")[1:]
    for name, cookie in zip(("__Host-balancebot=", "__Host-balancebot-known="), secure, strict=True):
        assert cookie.startswith(name)
        assert ["HttpOnly", "Path=/", "SameSite=lax", "Secure"] == [
            part for part in cookie.split("; ")[1:] if not part.startswith("Max-Age")
        ]
    assert "max-age=31536000" == answer.headers["strict-transport-security"]


def test_logging_out_ends_the_session_and_not_only_the_cookie(desk: Desk) -> None:
    with desk.user_with_password(Role.VIEWER) as browser:
        session_cookie = browser.cookies["balancebot"]
        answer = browser.post("/logout", data={"csrf_token": csrf_token(browser)})
        assert (303, "/login") == (answer.status_code, answer.headers["location"])
    with desk.visitor() as thief:
        assert 303 == thief.get("/", headers={"Cookie": f"balancebot={session_cookie}"}).status_code


def test_a_new_log_in_ends_the_previous_session_of_the_browser(desk: Desk) -> None:
    with desk.user_with_password(Role.VIEWER) as browser:
        former = browser.cookies["balancebot"]
        browser.post("/login", data={"name": "viewer", "password": PASSWORD})
        assert 200 == browser.get("/").status_code
    with desk.visitor() as thief:
        assert 303 == thief.get("/", headers={"Cookie": f"balancebot={former}"}).status_code


def test_guesses_at_the_present_password_are_throttled(desk: Desk) -> None:
    with desk.user_with_password(Role.VIEWER) as browser:
        form = {"csrf_token": csrf_token(browser), "present": "wrong", "password": "another secret"}
        answers = [browser.post("/me/password", data=form).status_code for _ in range(8)]
        right = browser.post("/me/password", data=form | {"present": PASSWORD})
    assert ([422] * 5 + [429] * 3, 429) == (answers, right.status_code)
    assert "Too many wrong passwords" in right.text


def test_every_attempt_is_counted_and_failures_are_logged_without_the_input(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    outcomes: list[str] = []
    pages = create_pages(pages_of(world), metrics=bytes, on_log_in=outcomes.append)
    server = serve(pages, host="127.0.0.1", port=0)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=PATIENCE
        ) as browser:
            for name, password in (("a typed secret", "x"), ("viewer", PASSWORD)):
                browser.post("/login", data={"name": name, "password": password})
    finally:
        server.stop()
    assert ["refused", "ok"] == outcomes
    logged = [record for record in caplog.records if record.name == "balancebot.web.login"]
    assert ["web.log_in_failed", "web.logged_in"] == [record.message for record in logged]
    assert ["unknown", "viewer"] == [record.__dict__["user"] for record in logged]


def test_many_concurrent_log_ins_do_not_block_the_pages(desk: Desk) -> None:
    def guess(number: int) -> int:
        with desk.visitor() as visitor:
            answer = visitor.post("/login", data={"name": f"user{number}", "password": "x"})
            assert 200 == visitor.get("/healthz").status_code
            return answer.status_code

    with ThreadPoolExecutor(45) as crowd:
        statuses = list(crowd.map(guess, range(45)))
    assert {401, 429} >= set(statuses)
    assert 429 in statuses


def test_a_form_without_its_token_or_with_that_of_another_session_changes_nothing(desk: Desk) -> None:
    with desk.user_with_password(Role.VIEWER) as browser, desk.user_with_password(Role.ADMIN) as other:
        assert 403 == browser.post("/logout").status_code
        assert 403 == browser.post("/logout", data={"csrf_token": csrf_token(other)}).status_code
        assert 200 == browser.get("/").status_code


def test_a_form_sent_by_another_site_is_refused_even_with_a_valid_token(desk: Desk) -> None:
    with desk.user_with_password(Role.VIEWER) as browser:
        token = csrf_token(browser)
        for origin in ("https://evil.example", "null"):
            answer = browser.post("/logout", data={"csrf_token": token}, headers={"Origin": origin})
            assert 403 == answer.status_code
        assert (
            303
            == browser.post(
                "/logout", data={"csrf_token": token}, headers={"Origin": desk.address}
            ).status_code
        )


def test_a_part_of_a_page_without_a_session_requests_a_reload(desk: Desk) -> None:
    with desk.visitor() as visitor:
        assert 401 == visitor.get("/", headers={"HX-Request": "true"}).status_code


def test_a_request_that_is_too_large_is_refused_before_it_is_read(desk: Desk) -> None:
    with desk.visitor() as visitor:
        assert 413 == visitor.post("/login", content=b"x" * (8 * 1024 * 1024 + 1)).status_code
