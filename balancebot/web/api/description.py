"""The OpenAPI 3.1 description of the API, made from its routes: types give the schemas, docstrings the text."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

import msgspec

from balancebot import __version__
from balancebot.domain.statement import MONTH
from balancebot.domain.user import Role
from balancebot.store.types import ID
from balancebot.web.api.problem import PROBLEM_TYPE, ProblemAnswer
from balancebot.web.api.route import MAX_BODY, PREFIX, REQUESTS_PER_MINUTE, ApiRoute, lists_of

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_ABOUT = f"""\
How many SMS are left, how long they last, and who must act; with the limits, silences and orders behind it.

Every request shows a token: `Authorization: Bearer TOKEN`; `balancebot tokens add NAME --role viewer|finance` makes one.
A viewer's token reads, one for finance also changes; every change stands in the audit log under the token's name.
Answers are JSON as the commands print it with `--json`: ids are text, instants are UTC. A list goes on at `next_cursor`.
What is refused changes nothing and is answered as a problem (RFC 9457). A token has {REQUESTS_PER_MINUTE} requests a minute,
and a body at most {MAX_BODY // 1024} KiB.
"""
_PARTS = {
    "id": {"pattern": f"^{ID}$", "examples": ["1"]},
    "month": {"pattern": f"^{MONTH}$", "examples": ["2026-11"]},
}
"""The schemas of what stands in paths."""
_ALWAYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "the address or the body can't be read",
    HTTPStatus.UNAUTHORIZED: "no token, or an invalid one",
    HTTPStatus.FORBIDDEN: "the token's role doesn't allow it",
    HTTPStatus.NOT_FOUND: "there is no such thing",
    HTTPStatus.CONFLICT: "it isn't in a state in which this can be done",
    HTTPStatus.PRECONDITION_FAILED: "somebody else changed it: `If-Match` or `If-None-Match` doesn't match",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the body isn't `application/json`",
    HTTPStatus.UNPROCESSABLE_ENTITY: "a value can't be taken",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests; `Retry-After` says in how many seconds to try again",
    HTTPStatus.SERVICE_UNAVAILABLE: "the database can't be reached",
}

_REFUSAL_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "`Bearer`"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "in seconds"},
}


def describe(routes: Iterable[ApiRoute], *, public_url: str) -> dict[str, object]:
    """Return the document; `public_url` is the address of the pages."""
    routes = tuple(routes)
    kinds = list(
        dict.fromkeys(
            kind for route in routes for kind in (route.answer, route.body, route.query) if kind is not None
        )
    )
    schemas, components = msgspec.json.schema_components([*kinds, ProblemAnswer], ref_template=_REF)
    schema_of = dict(zip([*kinds, ProblemAnswer], schemas, strict=True))
    # a query is described by its parameters, so it needs no schema
    queries = {route.query.__name__ for route in routes if route.query is not None}
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        path = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
        path[route.method.lower()] = _operation(route, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "balancebot", "version": __version__, "description": _ABOUT},
        "servers": [{"url": public_url + PREFIX}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
        },
    }


def _operation(
    route: ApiRoute, schema_of: Mapping[Any, dict[str, Any]], components: Mapping[str, Any]
) -> dict[str, object]:
    summary, _, description = cleandoc(route.handler.__doc__ or "").partition("\n")
    operation: dict[str, object] = {
        "operationId": f"{route.method.lower()}{re.sub('[^a-z]+', '_', route.path).rstrip('_')}",
        "summary": summary.rstrip("."),
        "parameters": [*_path_parameters(route), *_query_parameters(route, components), *_headers(route)],
        "responses": {
            str(int(route.status)): _success(route, schema_of),
            **{
                str(int(status)): {
                    "description": _REFUSALS[status],
                    "headers": _sent(_REFUSAL_HEADERS.get(status, {})),
                    "content": {PROBLEM_TYPE: {"schema": schema_of[ProblemAnswer]}},
                }
                for status in refusals(route)
            },
        },
    }
    if description.strip():
        operation["description"] = description.strip()
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.body_required,
            "content": {"application/json": {"schema": schema_of[route.body]}},
        }
    return operation


def refusals(route: ApiRoute) -> list[HTTPStatus]:
    """Return the statuses with which a route may refuse a request."""
    found = {*_ALWAYS, *route.refuses}
    if route.query is not None or route.body is not None:
        found |= {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    if route.body is not None:
        found |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    if route.needs is not Role.VIEWER:
        found.add(HTTPStatus.FORBIDDEN)
    return sorted(found)


def _success(route: ApiRoute, schema_of: Mapping[Any, dict[str, Any]]) -> dict[str, object]:
    response: dict[str, object] = {"description": route.status.phrase}
    if headers := _sent(route.response_headers) | _sent(route.optional_headers, required=False):
        response["headers"] = headers
    if route.status is not HTTPStatus.NO_CONTENT:
        schema = {"type": "object"} if route.answer is None else schema_of[route.answer]
        response["content"] = {"application/json": {"schema": schema}}
    return response


def _sent(meanings: Mapping[str, str], *, required: bool = True) -> dict[str, object]:
    return {
        name: {"description": meaning, "required": required, "schema": {"type": "string"}}
        for name, meaning in meanings.items()
    }


def _path_parameters(route: ApiRoute) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", **_PARTS[name]}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: ApiRoute, components: Mapping[str, Any]) -> list[dict[str, object]]:
    if route.query is None:
        return []
    described = components[route.query.__name__]
    lists = lists_of(route.query)
    found = []
    for name, declared in described["properties"].items():
        schema = _without_null(declared)
        parameter: dict[str, object] = {
            "name": name,
            "in": "query",
            "required": name in described.get("required", []),
        }
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if name in lists:
            parameter |= {"style": "form", "explode": False}
        found.append(parameter | {"schema": schema})
    return found


def _without_null(declared: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter, which is left out instead of being null."""
    schema = dict(declared)
    kinds: list[dict[str, Any]] = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    del schema["anyOf"], schema["default"]
    return kinds[0] | schema


def _headers(route: ApiRoute) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": meaning,
            "schema": {"type": "string"},
        }
        for name, meaning in route.request_headers.items()
    ]
