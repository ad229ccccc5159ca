"""`balances` and `history`: the present and past state of balances."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from balancebot.answers import (
    BalancesAnswer,
    BalanceState,
    Instant,
    NextCursor,
    SeverityWord,
    balance_state,
    balances_answer,
    instant,
)
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import Sentence
from balancebot.history.past import PastEntry, Step, past_of
from balancebot.store import wallets, wrong_readings
from balancebot.web.api.problem import ApiRefusedError
from balancebot.web.api.route import (
    ApiRequest,
    ApiRoute,
    Cursor,
    InstantInRange,
    PageLimit,
    PatternText,
    WalletText,
    after_cursor,
    bad_cursor,
    cursor_of,
    in_range,
    position_of,
    refused_field,
)

_SPAN = timedelta(days=30)


class BalancesQuery(Struct, forbid_unknown_fields=True):
    """Which balances to list."""

    pattern: PatternText = "*"
    severity: Annotated[
        list[SeverityWord], Meta(description="one of these, with commas between them; default: any")
    ] = []
    category: Annotated[
        list[Category], Meta(description="one of these, with commas between them; default: any")
    ] = []
    limit: PageLimit = 1000
    cursor: Cursor = ""


def balances(request: ApiRequest) -> BalancesAnswer:
    """List the balances with their present state.

    The same as `balancebot status --json`. A cursor is valid as long as its wallet is configured.
    """
    query: BalancesQuery = request.query
    pattern = Pattern.parse(query.pattern)
    if isinstance(pattern, Sentence):
        raise refused_field("pattern", str(pattern), 400)
    snapshot = request.app.latest.read(now=request.now)
    found = [
        view
        for view in after_cursor(query.cursor, snapshot.views, lambda view: view.key)
        if pattern.matches(*view.key)
        and (not query.severity or view.severity.word in query.severity)
        and (not query.category or view.key.category in query.category)
    ]
    shown = found[: query.limit]
    with request.app.database.read() as conn:
        answer = balances_answer(conn, shown, figures=request.app.figures, as_of=snapshot.at)
    return BalancesAnswer(
        as_of=answer.as_of,
        balances=answer.balances,
        muted=answer.muted,
        next_cursor=cursor_of(*shown[-1].key) if len(found) > len(shown) else None,
    )


class HistoryQuery(Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Which wallet and time to list."""

    wallet: WalletText
    category: Annotated[
        list[Category], Meta(description="one of these, with commas between them; default: all four")
    ] = []
    from_: Annotated[
        InstantInRange | UnsetType, Meta(description="the first instant; default: 30 days before `to`")
    ] = UNSET
    to: Annotated[
        InstantInRange | UnsetType, Meta(description="the instant before which it ends; default: now")
    ] = UNSET
    step: Annotated[Step, Meta(description="every reading, or one entry for each hour or day of UTC")] = (
        Step.HOUR
    )
    limit: PageLimit = 1000
    cursor: Cursor = ""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """A reading, or the changes within one hour or day; figures that are unknown for a single reading are missing."""

    at: Annotated[Instant, Meta(description="when it was read, or when the hour or day begins")]
    category: Category
    state: BalanceState
    balance: Annotated[int | None, Meta(description="the reading; for an hour or a day, the last one")]
    used: int | UnsetType = UNSET
    topped_up: int | UnsetType = UNSET
    transferred: Annotated[int | UnsetType, Meta(description="moved here minus moved away")] = UNSET
    refunded: int | UnsetType = UNSET


class WrongReadingAnswer(Struct, frozen=True, kw_only=True):
    """A reading that the next one took back: neither usage nor a top-up."""

    at: Annotated[Instant, Meta(description="when it was read")]
    category: Category
    reading: int
    instead: Annotated[int, Meta(description="the reading before it")]


class HistoryAnswer(Struct, frozen=True, kw_only=True):
    """The past of one wallet, the oldest entry first."""

    wallet: str
    step: Step
    history: list[HistoryEntry]
    wrong_readings: Annotated[
        list[WrongReadingAnswer],
        Meta(description="within what this page shows; at most 10 a day of a balance"),
    ]
    next_cursor: NextCursor


def history(request: ApiRequest) -> HistoryAnswer:
    """List the past of one wallet, the oldest entry first.

    Single readings are kept for `[retention].raw`, hours for `[retention].hourly`, days for ever. There is no entry for
    a time without a reading. A page never splits an instant, so it may be shorter than `limit` even if more follows.
    """
    query: HistoryQuery = request.query
    until = request.now if isinstance(query.to, UnsetType) else in_range(query.to, "to")
    since = until - _SPAN if isinstance(query.from_, UnsetType) else in_range(query.from_, "from")
    if since >= until:
        raise refused_field("from", "must be before `to`")
    if query.cursor:
        (second,) = position_of(query.cursor, tuple[int])
        if not since.timestamp() <= second < until.timestamp():
            raise bad_cursor()
        since = datetime.fromtimestamp(second, UTC)
    with request.app.database.read() as conn:
        wallet = wallets.find(conn, WalletName(query.wallet))
        if wallet is None:
            raise ApiRefusedError(404, "There is no such wallet.")
        entries, following = past_of(
            conn,
            wallet.id,
            query.category or list(Category),
            step=query.step,
            since=since,
            until=until,
            most=query.limit,
        )
        wrong = wrong_readings.between(
            conn,
            since=since,
            until=until if following is None else following,
            balances=[BalanceKey(wallet.name, category) for category in query.category or Category],
        )
    return HistoryAnswer(
        wallet=wallet.name,
        step=query.step,
        history=[_entry(entry) for entry in entries],
        wrong_readings=[
            WrongReadingAnswer(
                at=instant(found.read_at),
                category=found.balance.category,
                reading=found.reading,
                instead=found.instead,
            )
            for found in wrong
        ],
        next_cursor=None if following is None else cursor_of(int(following.timestamp())),
    )


def _entry(entry: PastEntry) -> HistoryEntry:
    used = entry.used
    return HistoryEntry(
        at=instant(entry.at),
        category=entry.category,
        state=balance_state(entry.reading),
        balance=entry.reading if isinstance(entry.reading, int) else None,
        used=UNSET if used is None else used.use,
        topped_up=UNSET if used is None else used.topped_up,
        transferred=UNSET if used is None else used.transferred,
        refunded=UNSET if used is None else used.refunded,
    )


ROUTES = (
    ApiRoute(method="GET", path="/balances", handler=balances, query=BalancesQuery, answer=BalancesAnswer),
    ApiRoute(
        method="GET",
        path="/history",
        handler=history,
        query=HistoryQuery,
        answer=HistoryAnswer,
        refuses=(HTTPStatus.NOT_FOUND,),
        cost=5,
    ),
)
