"""`thresholds`: reads, replaces and removes the row of one scope, and previews the effects of a new row.

A scope is given by `wallet` and `category` in the query, not in the path: a wallet's name contains slashes, a pattern
stars.
"""

from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from balancebot.answers import (
    PreviewAnswer,
    ThresholdAnswer,
    ThresholdsAnswer,
    preview_answer,
    threshold_answer,
)
from balancebot.domain.balance import MAX_BALANCE, Category
from balancebot.domain.pattern import MAX_WALLET
from balancebot.domain.runway import NO_END_DAYS
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import Scope, ThresholdBook, ThresholdRow
from balancebot.domain.threshold_cell import LEAST_DAYS, MAX_NOTE, read_category, read_wallet, written
from balancebot.domain.user import Role
from balancebot.sheets import InputFault
from balancebot.thresholds.changes import Conflict, edit_token
from balancebot.thresholds.edit import COLUMNS, Edited
from balancebot.web.api.problem import ApiRefusedError, FieldFault
from balancebot.web.api.route import (
    ApiAnswer,
    ApiRequest,
    ApiRoute,
    Cursor,
    PageLimit,
    cursor_of,
    position_of,
    refused_field,
)

Count: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_BALANCE)] | Literal["off"] | None
Days: TypeAlias = Annotated[float, Meta(ge=LEAST_DAYS, le=NO_END_DAYS)] | Literal["off"] | None
_Wallet = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_WALLET,
        description="a name, or a pattern of names",
        examples=["acme/shop"],
    ),
]
_CategoryText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=20,
        description="a category, or `*` for all",
        examples=[Category.MARKET],
        extra_json_schema={"enum": [*Category, "*"]},
    ),
]


class ThresholdsQuery(Struct, forbid_unknown_fields=True):
    """Which rows to list; with both `wallet` and `category`, only the row of that scope."""

    wallet: _Wallet | None = None
    category: _CategoryText | None = None
    limit: PageLimit = 1000
    cursor: Cursor = ""


class ScopeQuery(Struct, forbid_unknown_fields=True):
    """The scope of a row; it may be in the body instead."""

    wallet: _Wallet | None = None
    category: _CategoryText | None = None


class ThresholdBody(Struct, forbid_unknown_fields=True):
    """A complete row: limits that are missing are inherited. The answer of `GET` can be sent back."""

    wallet: _Wallet | UnsetType = UNSET
    category: _CategoryText | UnsetType = UNSET
    warning_below: Annotated[Count, Meta(examples=[2000])] = None
    critical_below: Annotated[Count, Meta(examples=[800])] = None
    warning_days: Annotated[Days, Meta(examples=[14])] = None
    critical_days: Annotated[Days, Meta(examples=[7])] = None
    lead_time_days: Annotated[float, Meta(ge=0, le=NO_END_DAYS)] | None = None
    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""
    updated_at: Annotated[Any, Meta(description="ignored")] = None
    updated_by: Annotated[Any, Meta(description="ignored")] = None
    warnings: Annotated[Any, Meta(description="ignored")] = None


def thresholds(request: ApiRequest) -> ApiAnswer:
    """List the rows that are set, by wallet and category.

    With `wallet` and `category` the list has the row of this scope or none, and `ETag` identifies it for the `If-Match`
    of a change.
    """
    query: ThresholdsQuery = request.query
    rows = sorted(request.app.edit_thresholds.book().rows, key=_order)
    headers = {}
    if query.wallet is not None:
        wallet = _wallet(query.wallet)
        rows = [row for row in rows if row.wallet == wallet]
    if query.category is not None:
        category = _category(query.category)
        rows = [row for row in rows if row.category == category]
    if query.wallet is not None and query.category is not None:
        headers["ETag"] = _etag(rows[0] if rows else None)
    if query.cursor:
        last = position_of(query.cursor, tuple[str, str])
        rows = [row for row in rows if _order(row) > last]
    shown = rows[: query.limit]
    return ApiAnswer(
        content=ThresholdsAnswer(
            thresholds=[threshold_answer(row) for row in shown],
            next_cursor=cursor_of(*_order(shown[-1])) if len(rows) > len(shown) else None,
        ),
        headers=headers,
    )


def put_threshold(request: ApiRequest) -> ApiAnswer:
    """Set the complete row of one scope; limits that are missing are inherited.

    With `If-Match` this succeeds only if the row is still the one with that `ETag`; with `If-None-Match: *` only if
    there is no row yet. It takes effect at once.
    """
    scope, cells = _scope_of(request), _cells(request.body)
    if not cells:
        raise ApiRefusedError(422, "The row sets nothing: give a limit, a lead time or a note, or DELETE it.")
    warnings = _warnings(
        request.app.edit_thresholds.put(
            scope, cells, seen=lambda current: _matches(request, current), by=request.actor
        )
    )
    row = _row(request, scope)
    if row is None:  # removed meanwhile
        raise ApiRefusedError(409, "Somebody else removed the row right after it was set.")
    return ApiAnswer(
        content=threshold_answer(row, warnings),
        headers={"ETag": _etag(row)},
    )


def delete_threshold(request: ApiRequest) -> None:
    """Remove the row of one scope, so that less specific ones decide again."""
    scope = _scope_of(request)
    if _row(request, scope) is None:
        raise ApiRefusedError(404, "No row is set for this scope.")
    _warnings(
        request.app.edit_thresholds.remove(
            scope, seen=lambda current: _matches(request, current), by=request.actor
        )
    )


def preview_threshold(request: ApiRequest) -> PreviewAnswer:
    """Return the effects of a row without setting it: which alerts it opens or closes now, and in the last 30 days.

    Takes the same as `PUT`. The answer is the same as that of `balancebot thresholds preview --json`.
    """
    app, scope = request.app, _scope_of(request)
    edited = app.edit_thresholds.preview_put(scope, _cells(request.body))
    _warnings(edited)
    change = (
        app.edit_thresholds.book(),
        ThresholdBook(edited.rows),
        [found.scope for found in edited.changes],
    )
    return preview_answer(
        app.preview_limits.ahead(*change, now=request.now), app.preview_limits.back(*change, now=request.now)
    )


def _order(row: ThresholdRow) -> tuple[str, str]:
    return row.wallet, row.category or "*"


def _scope_of(request: ApiRequest) -> Scope:
    """Return the scope in the query or the body; if both have one, they must agree."""
    parts = []
    for name in ("wallet", "category"):
        asked = getattr(request.query, name)
        given = getattr(request.body, name, UNSET)
        if isinstance(given, UnsetType):
            given = asked
        if given is None:
            raise refused_field(name, "missing: a scope is a wallet and a category")
        if asked not in {None, given}:
            raise refused_field(name, "differs between the address and the body")
        parts.append(given)
    return _scope(*parts)


def _scope(wallet: str, category: str) -> Scope:
    return Scope(_wallet(wallet), _category(category))


def _wallet(text: str) -> str:
    name = read_wallet(text)
    if isinstance(name, Sentence):
        raise refused_field("wallet", str(name))
    return name


def _category(text: str) -> Category | None:
    kind = read_category(text)
    if isinstance(kind, Sentence):
        raise refused_field("category", str(kind))
    return kind


def _row(request: ApiRequest, scope: Scope) -> ThresholdRow | None:
    return request.app.edit_thresholds.look(scope)


def _cells(body: ThresholdBody) -> dict[str, str]:
    """Return the values of the body as a user would type them."""
    cells = {column: written(getattr(body, column)) for column in COLUMNS}
    return {column: text for column, text in cells.items() if text}


def _warnings(edited: Edited | Conflict) -> list[str]:
    """Raise the refusal if there are faults; otherwise return the warnings."""
    if isinstance(edited, Conflict):
        raise ApiRefusedError(
            412,
            "The row has changed since it was read: read it again.",
            headers={"ETag": _etag(edited.current)},
        )
    if edited.faults:
        raise ApiRefusedError(422, str(edited.faults[0]) + ".", errors=list(map(_fault, edited.faults)))
    return [str(warning) for warning in edited.warnings]


def _fault(fault: InputFault) -> FieldFault:
    return FieldFault(field=fault.column, message=str(fault.message))


def _etag(row: ThresholdRow | None) -> str:
    return f'"{edit_token(row)}"'


def _matches(request: ApiRequest, current: ThresholdRow | None) -> bool:
    """Return whether the present row matches `If-Match` and `If-None-Match` (RFC 9110, 13.1)."""
    headers = request.http.headers
    return _is_among(headers.get("if-match"), current, absent=True) and not _is_among(
        headers.get("if-none-match"), current, absent=False
    )


def _is_among(tags: str | None, current: ThresholdRow | None, *, absent: bool) -> bool:
    if tags is None:
        return absent
    if tags.strip() == "*":
        return current is not None
    return _etag(current) in {tag.strip() for tag in tags.split(",")}


_IF_MATCH = {"If-Match": "the `ETag` of the row that was read, or `*`: only if there is a row"}
_IF_NONE_MATCH = {"If-None-Match": "`*`: only if there is no row yet"}
_ETAG = {"ETag": "identifies the row"}

ROUTES = (
    ApiRoute(
        method="GET",
        path="/thresholds",
        handler=thresholds,
        query=ThresholdsQuery,
        answer=ThresholdsAnswer,
        optional_headers=_ETAG,
    ),
    ApiRoute(
        method="PUT",
        path="/thresholds",
        handler=put_threshold,
        query=ScopeQuery,
        body=ThresholdBody,
        answer=ThresholdAnswer,
        needs=Role.FINANCE,
        request_headers=_IF_MATCH | _IF_NONE_MATCH,
        response_headers=_ETAG,
        refuses=(HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED),
    ),
    ApiRoute(
        method="DELETE",
        path="/thresholds",
        handler=delete_threshold,
        query=ScopeQuery,
        answer=None,
        needs=Role.FINANCE,
        status=HTTPStatus.NO_CONTENT,
        request_headers=_IF_MATCH,
        refuses=(HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED),
    ),
    ApiRoute(
        method="POST",
        path="/thresholds/preview",
        handler=preview_threshold,
        query=ScopeQuery,
        body=ThresholdBody,
        answer=PreviewAnswer,
        cost=20,
    ),
)
