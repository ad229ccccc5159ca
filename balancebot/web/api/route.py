"""One route of the API: it is declared once, and both answering and description use the declaration.

`ApiRoute` names the method, the path, the role, and the types of the query, the body and the answer. Requests are
parsed into these types, so a handler gets values within their bounds; the OpenAPI description is made from them. The
order of the checks is: token, budget, role, query, body. Then the handler runs in a thread.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
import msgspec.inspect
import msgspec.structs
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from balancebot.answers import Instant
from balancebot.app import App
from balancebot.config import Secret
from balancebot.domain.audit import Actor, Via
from balancebot.domain.pattern import MAX_PATTERN, MAX_WALLET
from balancebot.domain.user import ApiToken, Role
from balancebot.i18n import Wording
from balancebot.people import tokens
from balancebot.web.api.budget import RequestBudget
from balancebot.web.api.problem import ApiRefusedError, FieldFault, problem

Entry = TypeVar("Entry")

PREFIX = "/api/v1"
MAX_BODY = 64 * 1024
"""The largest body, in bytes."""
REQUESTS_PER_MINUTE = 600
"""Per token."""
FAILURES_PER_MINUTE = 60
"""Requests without a valid token, per address."""
_OF_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

Cursor: TypeAlias = Annotated[
    str,
    Meta(
        max_length=2 * (4 * MAX_WALLET + 64),  # hexadecimal digits of UTF-8
        description="`next_cursor` of the previous page",
        extra_json_schema={"pattern": "^(?:[0-9a-f]{2})*$"},
    ),
]
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=10_000, description="entries of a page")]
PatternText: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1, max_length=MAX_PATTERN, description="a pattern of balances", examples=["acme/*:market"]
    ),
]
WalletText: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=MAX_WALLET, description="a wallet's name", examples=["acme/shop"])
]
InstantInRange: TypeAlias = Annotated[
    Instant,
    Meta(
        extra_json_schema={
            "formatMinimum": f"{_FIRST.year}-01-01T00:00:00Z",
            "formatExclusiveMaximum": f"{_LAST.year}-01-01T00:00:00Z",
        }
    ),
]
"""What `in_range` takes."""
DAY_OR_INSTANT = ({"format": "date"}, {"format": "date-time"})
"""The schemas of what `read_day_end` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiBudgets:
    """The budgets of one server."""

    requests: RequestBudget = field(default_factory=lambda: RequestBudget(REQUESTS_PER_MINUTE))
    failures: RequestBudget = field(default_factory=lambda: RequestBudget(FAILURES_PER_MINUTE))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request that passed all checks."""

    app: App
    http: Request
    now: datetime
    token: ApiToken
    query: Any
    """Has the type that the route declares; None if it declares none."""
    body: Any
    """The same."""

    @property
    def actor(self) -> Actor:
        """The token's holder as author of a change."""
        return Actor(name=self.token.name, via=Via.API)

    @property
    def words(self) -> Wording:
        """Writes text in English, as for every program."""
        return Wording(zone=self.app.settings.timezone)

    def part(self, name: str) -> str:
        """Return a part of the path."""
        text: str = self.http.path_params[name]
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """An answer with a status or headers of its own."""

    content: Struct | dict[str, object] | None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler: TypeAlias = Callable[[ApiRequest], "Struct | ApiAnswer | dict[str, object] | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRoute:
    """One method of one path below `/api/v1`."""

    method: str
    path: str
    handler: Handler
    """The first line of its docstring is the summary, the rest the description."""
    answer: type[Struct] | None
    """None: no content, or any object if `status` promises content."""
    needs: Role = Role.VIEWER
    status: HTTPStatus = HTTPStatus.OK
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    body_required: bool = True
    request_headers: Mapping[str, str] = field(default_factory=dict)
    """The request headers that the route reads, with their meaning."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """The headers of every success, with their meaning."""
    optional_headers: Mapping[str, str] = field(default_factory=dict)
    """The headers of some successes."""
    refuses: tuple[HTTPStatus, ...] = ()
    """The refusals of this route, in addition to those of every route."""
    cost: int = 1
    """What one request costs from the budget of its token."""

    async def answered(self, request: Request) -> Response:
        """Answer a request."""
        try:
            allowed = await run_in_threadpool(self._authorized, request)
            body = await self._body(request)
            return await run_in_threadpool(self._handled, replace(allowed, body=body))
        except ApiRefusedError as refused:
            return problem(refused.status, refused.detail, errors=refused.errors, headers=refused.headers)

    def _authorized(self, request: Request) -> ApiRequest:
        app: App = request.app.state.app
        budgets: ApiBudgets = request.app.state.api_budgets
        now = app.clock.now()
        address = request.client.host if request.client is not None else ""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        token = None
        if scheme.lower() == "bearer":
            token = tokens.holder(app.database, Secret(shown.strip()), now=now)
        if token is None:
            if wait := budgets.failures.wait_for(address):
                raise _too_many(wait)
            raise ApiRefusedError(
                401,
                "Send a valid token: `Authorization: Bearer TOKEN`.",
                headers={"WWW-Authenticate": 'Bearer realm="balancebot"'},
            )
        if wait := budgets.requests.wait_for(token.name, self.cost):
            raise _too_many(wait)
        if not token.role.may(self.needs):
            raise ApiRefusedError(403, f"This needs a token for {self.needs}; this one is for {token.role}.")
        query = None if self.query is None else _read_query(request, self.query)
        return ApiRequest(app=app, http=request, now=now, token=token, query=query, body=None)

    async def _body(self, request: Request) -> Struct | None:
        """Parse the body; None if the route takes none."""
        if self.body is None:
            return None
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise _too_large()
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY:
                raise _too_large()
        if not content and not self.body_required:
            return self.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiRefusedError(415, "The body must be `application/json`.")
        return _read_body(content, self.body)

    def _handled(self, request: ApiRequest) -> Response:
        answer = self.handler(request)
        if not isinstance(answer, ApiAnswer):
            answer = ApiAnswer(content=answer)
        content = b"" if answer.content is None else msgspec.json.encode(answer.content)
        return Response(
            content,
            status_code=self.status,
            headers=dict(answer.headers),
            media_type="application/json" if content else None,
        )


def endpoint_of(path: str, routes: Iterable[ApiRoute]) -> Route:
    """Return the route that answers all methods of one path."""
    by_method = {route.method: route for route in routes}

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await by_method[method].answered(request)

    return Route(PREFIX + path, endpoint, methods=list(by_method))


def in_range(at: datetime, name: str) -> datetime:
    """Return an instant in UTC; refuse one that is out of range."""
    if not _FIRST <= at < _LAST:
        raise refused_field(name, "must lie between the years 2000 and 2100")
    return at.astimezone(UTC)


def lists_of(query: type[Struct]) -> frozenset[str]:
    """Return the parameters that take several values, separated by commas."""
    kinds = {
        found.encode_name: msgspec.inspect.type_info(found.type) for found in msgspec.structs.fields(query)
    }
    return frozenset(
        name
        for name, kind in kinds.items()
        if isinstance(
            kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind, msgspec.inspect.ListType
        )
    )


def refused_field(name: str, message: str, status: int = 422) -> ApiRefusedError:
    """Return the refusal of one field."""
    detail = f"`{name}`: {message}" if name else message
    errors = [FieldFault(field=name, message=message)] if name else []
    return ApiRefusedError(status, detail if detail.endswith("?") else f"{detail}.", errors=errors)


def cursor_of(*position: str | int) -> str:
    """Return the cursor of a position in a list."""
    return msgspec.json.encode(position).hex()


def position_of(cursor: str, kind: Any) -> Any:
    """Return the position of a cursor, a tuple of the type `kind`."""
    try:
        return msgspec.json.decode(bytes.fromhex(cursor), type=kind)
    except ValueError:  # msgspec's errors are ValueErrors, too
        raise bad_cursor() from None


def after_cursor(
    cursor: str, entries: Sequence[Entry], position: Callable[[Entry], tuple[str, ...]]
) -> Sequence[Entry]:
    """Return the entries after the cursor; all of them without a cursor."""
    if not cursor:
        return entries
    last = position_of(cursor, tuple[str, ...])
    for index, entry in enumerate(entries, 1):
        if position(entry) == last:
            return entries[index:]
    raise bad_cursor()


def bad_cursor() -> ApiRefusedError:
    """Return the refusal of an invalid cursor."""
    return refused_field(
        "cursor", "this list didn't give it, or its entry is gone: begin with the first page", 400
    )


def _too_many(wait: int) -> ApiRefusedError:
    return ApiRefusedError(
        429, f"Too many requests: try again in {wait} s.", headers={"Retry-After": str(max(1, wait))}
    )


def _too_large() -> ApiRefusedError:
    return ApiRefusedError(413, f"The body must be at most {MAX_BODY} bytes.")


def _read_query(request: Request, kind: type[Struct]) -> Struct:
    given = request.query_params.multi_items()
    names = {found.encode_name: found.type for found in msgspec.structs.fields(kind)}
    lists, values = lists_of(kind), dict[str, object]()
    for name, value in given:
        if name not in names:
            raise refused_field(name, f"unknown; there are {', '.join(names)}", 400)
        if name in values:
            raise refused_field(name, "given twice", 400)
        if not _is_storable(value):
            raise refused_field(name, "contains a character that can't be stored", 400)
        values[name] = [part for part in value.split(",") if part] if name in lists else value
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise refused_field(*_field_and_message(error), 400) from None


def _read_body(content: bytes, kind: type[Struct]) -> Struct:
    try:
        document = msgspec.json.decode(content)
        is_storable = _is_storable(document)
    except RecursionError:
        raise ApiRefusedError(400, "The body is nested too deep.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiRefusedError(400, f"The body isn't JSON: {error}.") from None
    if not is_storable:
        raise ApiRefusedError(422, "The body contains a character that can't be stored.")
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise refused_field(*_field_and_message(error)) from None


def _field_and_message(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the field of a validation error, and the error as the end of a sentence."""
    message, _, place = str(error).partition(" - at `")
    path = place.removesuffix("`").removeprefix("$").removeprefix(".")
    if found := _OF_FIELD.fullmatch(message):
        name = f"{path}.{found[2]}" if path else found[2]
        return name, "missing" if found[1].startswith("missing") else "unknown"
    return path, message[:1].lower() + message[1:] if path else f"The body: {message}"


def _is_storable(value: object) -> bool:
    """Return whether every text in a document can be stored: no NUL, no half of a surrogate pair."""
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
        case dict():
            return all(_is_storable(key) and _is_storable(item) for key, item in value.items())
        case list():
            return all(_is_storable(item) for item in value)
        case _:
            return True
