"""The API's answer if it refuses a request: `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

PROBLEM_TYPE = "application/problem+json"


class FieldFault(Struct, frozen=True, kw_only=True):
    """The fault of one field."""

    field: str
    message: str


class ProblemAnswer(Struct, frozen=True, kw_only=True):
    """Why a request was refused."""

    type: str = "about:blank"
    title: Annotated[str, Meta(description="the meaning of `status`")]
    status: int
    detail: Annotated[str, Meta(description="what is wrong, in a sentence")]
    errors: Annotated[list[FieldFault] | UnsetType, Meta(description="each faulty field")] = UNSET


class ApiRefusedError(Exception):
    """A request that is refused; nothing was changed."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers


def is_for_api(path: str) -> bool:
    """Return whether a path belongs to the API: programs get every answer, including errors, as JSON."""
    return path == "/api" or path.startswith("/api/")


def problem(
    status: int, detail: str, *, errors: Sequence[FieldFault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer that describes a problem."""
    answer = ProblemAnswer(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors) or UNSET
    )
    return Response(
        msgspec.json.encode(answer), status_code=status, headers=dict(headers or {}), media_type=PROBLEM_TYPE
    )
