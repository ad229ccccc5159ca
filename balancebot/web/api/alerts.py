"""`alerts` and `silences`: what is wrong, who has seen it, and which messages are muted."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from balancebot.alerts.acts import MAX_WORDS_OF_PEOPLE
from balancebot.answers import (
    AlertAnswer,
    AlertsAnswer,
    SilenceAnswer,
    SilencesAnswer,
    alert_answer,
    silence_answer,
    with_causes,
)
from balancebot.config import UnfitError
from balancebot.config.values import DURATION, duration
from balancebot.domain.message import AlertMessage
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import Sentence
from balancebot.domain.silence import LONGEST_SILENCE
from balancebot.domain.user import Role
from balancebot.store import alerts as stored_alerts
from balancebot.store import silences as stored_silences
from balancebot.store.types import MAX_ID, parse_id
from balancebot.web.api.problem import ApiRefusedError
from balancebot.web.api.route import (
    PREFIX,
    ApiAnswer,
    ApiRequest,
    ApiRoute,
    Cursor,
    InstantInRange,
    PageLimit,
    PatternText,
    WalletText,
    bad_cursor,
    cursor_of,
    in_range,
    position_of,
    refused_field,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_POSITION = 2**53
_Text = Annotated[str, Meta(max_length=MAX_WORDS_OF_PEOPLE)]


class AlertState(StrEnum):
    """Which alerts to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


class AlertsQuery(Struct, forbid_unknown_fields=True):
    """Which alerts to list."""

    state: AlertState = AlertState.OPEN
    wallet: Annotated[WalletText | None, Meta(description="default: all")] = None
    limit: PageLimit = 1000
    cursor: Cursor = ""


class AcknowledgeBody(Struct, forbid_unknown_fields=True):
    """What is being done about an alert."""

    note: _Text = ""
    expected_top_up_at: Annotated[
        InstantInRange | None,
        Meta(description="when a top-up is expected; if the alert is still open then, it is sent again"),
    ] = None


class SilencesQuery(Struct, forbid_unknown_fields=True):
    """Which silences to list."""

    all: Annotated[bool, Meta(description="ended silences, too")] = False
    limit: PageLimit = 1000
    cursor: Cursor = ""


class SilenceBody(Struct, forbid_unknown_fields=True, rename={"for_": "for"}):
    """What to silence, for how long (`for`) or until when (`until`), and why."""

    pattern: PatternText
    for_: (
        Annotated[
            str,
            Meta(
                max_length=20,
                description="such as `30m`, `4h` or `2d`",
                examples=["4h"],
                extra_json_schema={"pattern": f"^{DURATION}$"},
            ),
        ]
        | UnsetType
    ) = UNSET
    until: InstantInRange | UnsetType = UNSET
    reason: _Text = ""


def alerts(request: ApiRequest) -> AlertsAnswer:
    """List the alerts, the newest first.

    The same as `balancebot alerts list --json`; `closed_at` is missing if only open alerts are asked for.
    """
    query: AlertsQuery = request.query
    before = None
    if query.cursor:
        micros, alert_id = position_of(query.cursor, tuple[int, int])
        if not (0 <= micros < _MAX_POSITION and 0 <= alert_id <= MAX_ID):
            raise bad_cursor()
        before = (_EPOCH + micros * _MICROSECOND, alert_id)
    closed = query.state is not AlertState.OPEN
    with request.app.database.read() as conn:
        found = stored_alerts.listed(
            conn,
            closed=closed,
            open_too=query.state is not AlertState.CLOSED,
            wallet=query.wallet,
            before=before,
            limit=query.limit + 1,
        )
        listed = with_causes(conn, found[: query.limit])
    return AlertsAnswer(
        alerts=[alert_answer(*pair, request.words, closed=closed) for pair in listed],
        next_cursor=_position(found[query.limit - 1]) if len(found) > query.limit else None,
    )


def alert(request: ApiRequest) -> AlertAnswer:
    """Show one alert, open or closed."""
    return _alert(request)


def acknowledge(request: ApiRequest) -> AlertAnswer:
    """Acknowledge an open alert: no reminders until it worsens.

    The body is optional. If the alert has closed meanwhile, that is a conflict.
    """
    body: AcknowledgeBody = request.body
    expects_by = body.expected_top_up_at
    if expects_by is not None:
        expects_by = in_range(expects_by, "expected_top_up_at")
        if expects_by <= request.now:
            raise refused_field("expected_top_up_at", "must lie in the future")
    before = _alert(request)
    seen = request.app.operate_alerts.acknowledge(
        before.id, by=request.actor, note=body.note, expects_by=expects_by
    )
    if seen is None:
        raise ApiRefusedError(409, "This alert is already closed.")
    return _alert(request)


def silences(request: ApiRequest) -> SilencesAnswer:
    """List the active silences, or with `all` also those that have ended, the newest first."""
    query: SilencesQuery = request.query
    before = MAX_ID
    if query.cursor:
        (before,) = position_of(query.cursor, tuple[int])
        if not 0 <= before <= MAX_ID:
            raise bad_cursor()
    with request.app.database.read() as conn:
        if query.all:
            found = stored_silences.latest(conn, before=before, limit=query.limit + 1)
        else:
            holding = reversed(stored_silences.active(conn, request.now))
            found = tuple(silence for silence in holding if (silence.id or 0) < before)
    shown = found[: query.limit]
    return SilencesAnswer(
        silences=[silence_answer(silence) for silence in shown],
        next_cursor=cursor_of(shown[-1].id or 0) if len(found) > len(shown) else None,
    )


def add_silence(request: ApiRequest) -> ApiAnswer:
    """Silence the balances that a pattern matches, for at most 30 days.

    Give either `for` or `until`.
    """
    body: SilenceBody = request.body
    pattern = Pattern.parse(body.pattern)
    if isinstance(pattern, Sentence):
        raise refused_field("pattern", str(pattern))
    made = request.app.operate_alerts.silence(
        pattern, until=_until(body, request.now), reason=body.reason, by=request.actor
    )
    return ApiAnswer(content=silence_answer(made), headers={"Location": f"{PREFIX}/silences/{made.id}"})


def silence(request: ApiRequest) -> SilenceAnswer:
    """Show one silence."""
    return _silence(request)


def end_silence(request: ApiRequest) -> None:
    """End a silence early. Open alerts that it muted are sent."""
    found = _silence(request)
    if not request.app.operate_alerts.end_silence(found.id, by=request.actor):
        raise ApiRefusedError(409, "This silence has already ended.")


def _alert(request: ApiRequest) -> AlertAnswer:
    alert_id = parse_id(request.part("id"))
    with request.app.database.read() as conn:
        found = None if alert_id is None else stored_alerts.get(conn, alert_id)
        if found is None:
            raise ApiRefusedError(404, "There is no such alert.")
        ((last, cause),) = with_causes(conn, [found])
    return alert_answer(last, cause, request.words, closed=True)


def _silence(request: ApiRequest) -> SilenceAnswer:
    silence_id = parse_id(request.part("id"))
    with request.app.database.read() as conn:
        found = None if silence_id is None else stored_silences.get(conn, silence_id)
    if found is None:
        raise ApiRefusedError(404, "There is no such silence.")
    return silence_answer(found)


def _until(body: SilenceBody, now: datetime) -> datetime:
    if isinstance(body.for_, UnsetType):
        if isinstance(body.until, UnsetType):
            raise refused_field("for", "missing: say how long with `for`, or until when with `until`")
        until, name = in_range(body.until, "until"), "until"
    elif not isinstance(body.until, UnsetType):
        raise refused_field("until", "give either `for` or `until`")
    else:
        try:
            until, name = now + duration(at_least=timedelta(seconds=1))(body.for_), "for"
        except UnfitError as error:
            raise refused_field("for", str(error)) from None
    if until <= now:
        raise refused_field(name, "must lie in the future")
    if until > now + LONGEST_SILENCE:
        raise refused_field(name, f"a silence lasts at most {LONGEST_SILENCE.days} days")
    return until


def _position(last: AlertMessage) -> str:
    return cursor_of((last.alert.opened_at - _EPOCH) // _MICROSECOND, last.alert.id or 0)


ROUTES = (
    ApiRoute(method="GET", path="/alerts", handler=alerts, query=AlertsQuery, answer=AlertsAnswer),
    ApiRoute(
        method="GET", path="/alerts/{id}", handler=alert, answer=AlertAnswer, refuses=(HTTPStatus.NOT_FOUND,)
    ),
    ApiRoute(
        method="POST",
        path="/alerts/{id}/acknowledge",
        handler=acknowledge,
        body=AcknowledgeBody,
        body_required=False,
        answer=AlertAnswer,
        needs=Role.FINANCE,
        refuses=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    ApiRoute(method="GET", path="/silences", handler=silences, query=SilencesQuery, answer=SilencesAnswer),
    ApiRoute(
        method="POST",
        path="/silences",
        handler=add_silence,
        body=SilenceBody,
        answer=SilenceAnswer,
        needs=Role.FINANCE,
        status=HTTPStatus.CREATED,
        response_headers={"Location": "the address of the silence"},
    ),
    ApiRoute(
        method="GET",
        path="/silences/{id}",
        handler=silence,
        answer=SilenceAnswer,
        refuses=(HTTPStatus.NOT_FOUND,),
    ),
    ApiRoute(
        method="DELETE",
        path="/silences/{id}",
        handler=end_silence,
        answer=None,
        needs=Role.FINANCE,
        status=HTTPStatus.NO_CONTENT,
        refuses=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
