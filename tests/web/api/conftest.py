"""A client of the API over real HTTP that checks each answer against the OpenAPI description."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from balancebot.config import Secret
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import WalletName
from balancebot.domain.user import Role
from balancebot.people import tokens
from tests.web.conftest import NOW, Desk
from tests.world import POOL, SHOP, WEB, industry

CLI = Actor(name="root", via=Via.CLI)
QUOTA = 1000


class Program:
    """A client with a token that fails on any answer that isn't described."""

    def __init__(self, http: httpx.Client, description: dict[str, Any]) -> None:
        self.http = http
        self.description = description

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send a request below `/api/v1` and check the answer."""
        answer = self.http.request(method, f"/api/v1{path}", **how)
        self.check(method, path, answer)
        return answer

    def get(self, path: str, **query: Any) -> Any:
        """Return a list or an object."""
        answer = self.ask("GET", path, params=query)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """Fail if an answer isn't as described."""
        path = path.partition("?")[0]
        if answer.status_code in {404, 405} and self._operation(method, path) is None:
            return
        operation = self._operation(method, path)
        assert operation is not None, f"{method} {path} isn't described"
        declared = operation["responses"].get(str(answer.status_code))
        assert declared is not None, f"{method} {path} answered {answer.status_code}: {answer.text}"
        required = [name for name, header in declared.get("headers", {}).items() if header["required"]]
        assert [] == [name for name in required if name not in answer.headers]
        if "content" not in declared:
            assert b"" == answer.content
            return
        ((kind, content),) = declared["content"].items()
        assert kind == answer.headers["content-type"]
        schema = content["schema"] | {"components": self.description["components"]}
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(answer.json())

    def _operation(self, method: str, path: str) -> Any:
        for template, operations in self.description["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return operations[method.lower()]
        return None


def token_of(desk: Desk, role: Role, name: str = "") -> str:
    """Add a token and return it."""
    token = tokens.add_token(
        desk.app.database, name=name or f"{role.value} program", role=role, expires_at=None, by=CLI, now=NOW
    )
    assert isinstance(token, Secret)
    return token.reveal()


@pytest.fixture
def program(desk: Desk) -> Iterator[Callable[[Role], Program]]:
    """A function that returns a client with a token of a role."""
    with ExitStack() as open_clients:

        def make(role: Role = Role.FINANCE) -> Program:
            http = open_clients.enter_context(desk.visitor())
            http.headers["Authorization"] = f"Bearer {token_of(desk, role)}"
            return Program(http, http.get("/api/v1/openapi.json").json())

        yield make


@pytest.fixture
def finance(program: Callable[[Role], Program]) -> Program:
    return program(Role.FINANCE)


@pytest.fixture
def viewer(program: Callable[[Role], Program]) -> Program:
    return program(Role.VIEWER)


@pytest.fixture
def firm(desk: Desk) -> Desk:
    """A pool and two apps; the shop is critical, the other app has no alert."""
    world = desk.world
    world.configure(POOL, SHOP, WEB)
    world.limit("acme/shop", "industry", warning_below=1000, critical_below=500)
    for wallet, balance in ((POOL, 100_000), (SHOP, 300), (WEB, 50_000)):
        world.shows(industry(balance), wallet=WalletName(wallet))
    world.poll()
    return desk
