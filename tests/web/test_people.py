"""Admins manage users, everyone can change their own password, and each role has only its permissions."""

import pytest

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.user import Role, User
from balancebot.people import users
from balancebot.store import audit
from tests.web.browser import PASSWORD
from tests.web.conftest import NOW, Desk, csrf_token


def roles(desk: Desk) -> dict[str, Role]:
    return {user.name: user.role for user in users.list_users(desk.app.database)}


def test_an_admin_adds_changes_and_removes_a_user(desk: Desk) -> None:
    with desk.user(Role.ADMIN) as admin:
        token = csrf_token(admin)

        def post(path: str, **fields: str) -> tuple[int, str]:
            answer = admin.post(path, data={"csrf_token": token, **fields})
            return answer.status_code, answer.headers.get("location", "")

        new = {"name": "吴", "role": "viewer", "password": "another secret"}
        assert (303, "/users?done=user_added") == post("/users/add", **new)
        assert "The user was added." in admin.get("/users?done=user_added").text
        assert (303, "/users?done=role_set") == post("/users/role", name="吴", role="finance")
        assert Role.FINANCE is roles(desk)["吴"]
        assert User(name="吴", role=Role.FINANCE, created_at=NOW) in users.list_users(desk.app.database)
        assert (303, "/users?done=user_removed") == post("/users/remove", name="吴")
    assert "吴" not in roles(desk)


def test_a_refused_form_shows_the_reason_and_keeps_the_input(desk: Desk) -> None:
    with desk.user(Role.ADMIN) as admin:
        token = csrf_token(admin)
        answer = admin.post(
            "/users/add",
            data={"csrf_token": token, "name": "finance<b>", "role": "viewer", "password": "short"},
        )
    assert 422 == answer.status_code
    assert "A password has at least 8 characters." in answer.text
    assert 'value="finance&lt;b&gt;"' in answer.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.FINANCE])
def test_only_an_admin_can_open_the_users(desk: Desk, role: Role) -> None:
    with desk.user(role) as browser:
        assert 'href="/users"' not in browser.get("/").text
        assert 403 == browser.get("/users").status_code
        fields = {"csrf_token": csrf_token(browser), "name": role.value, "role": "admin"}
        assert 403 == browser.post("/users/role", data=fields).status_code
    assert role is roles(desk)[role.value]


def test_changing_the_own_password_needs_the_present_one_and_ends_other_sessions(desk: Desk) -> None:
    with desk.user(Role.VIEWER) as here, desk.user(Role.VIEWER) as elsewhere:
        token = csrf_token(here)
        fields = {"csrf_token": token, "present": "wrong", "password": "another secret"}
        assert "The current password is wrong." in here.post("/me/password", data=fields).text
        assert 200 == elsewhere.get("/").status_code

        fields["present"] = PASSWORD
        assert 303 == here.post("/me/password", data=fields).status_code
        assert 200 == here.get("/").status_code
        assert 303 == elsewhere.get("/").status_code


def test_every_change_of_users_is_on_the_audit_page(desk: Desk) -> None:
    with desk.user(Role.ADMIN) as admin:
        fields = {"csrf_token": csrf_token(admin), "name": "viewer", "role": "finance"}
        admin.post("/users/role", data=fields)
        text = admin.get("/audit?topic=user&q=viewer").text
    assert "<del>viewer</del>" in text
    assert "<ins>finance</ins>" in text


def test_every_act_via_every_interface_is_shown_on_the_audit_page(desk: Desk) -> None:
    with desk.app.database.write() as conn:
        for act in Act:
            for via in Via:
                audit.record_change(conn, Actor(name="finance", via=via), act, "acme", now=NOW)
    with desk.user(Role.VIEWER) as browser:
        pages = [browser.get(f"/audit?page={page}") for page in (1, 2)]
        assert {200} == {page.status_code for page in pages}
        assert [] == [act.value for act in Act if act.value in "".join(page.text for page in pages)]
