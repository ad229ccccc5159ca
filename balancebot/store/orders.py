"""Orders, top-ups, and which part of which top-up belongs to which order."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Double, Row, Select, cast, delete, func, insert, select, update

from balancebot.domain.balance import Category, account_of
from balancebot.domain.order import Match, Order, TopUp, match_top_up
from balancebot.domain.usage import SECONDS_PER_HOUR, Hour
from balancebot.store.set_aside import whole
from balancebot.store.tables import order_matches, orders, top_ups, wallets
from balancebot.store.types import chunked

_NAMES = tuple(field.name for field in fields(Order) if field.name not in {"arrived", "hidden_use"})


def add(conn: Connection, order: Order) -> str:
    """Store an order; return its id."""
    values = {name: getattr(order, name) for name in _NAMES if name != "id"}
    statement = insert(orders).values(**values, account=order.account).returning(orders.c.id)
    order_id: str = conn.execute(statement).scalar_one()
    return order_id


def find(conn: Connection, order_id: str) -> Order | None:
    """Return one order; None if there is none with this id."""
    row = conn.execute(_orders().where(orders.c.id == order_id)).one_or_none()
    return None if row is None else _order(row)


def listed(conn: Connection, *, accounts: Collection[str] | None = None) -> tuple[Order, ...]:
    """Return the orders (of some accounts), the latest first."""
    wanted = _orders().order_by(orders.c.ordered_at.desc(), orders.c.id.desc())
    if accounts is not None:
        wanted = wanted.where(orders.c.account.in_(accounts))
    return tuple(map(_order, conn.execute(wanted)))


def version(conn: Connection) -> tuple[object, ...]:
    """Return a value that changes with every order, cancellation and match."""
    kept = select(func.count(), func.max(orders.c.id), func.count(orders.c.cancelled_at)).select_from(orders)
    # as floats: the product of two large integers would be out of range
    matched = select(func.sum(cast(order_matches.c.messages, Double) * order_matches.c.order_id))
    return (*conn.execute(kept).one(), conn.execute(matched).scalar())


def awaited(conn: Connection) -> tuple[Order, ...]:
    """Return the orders that haven't fully arrived, the oldest first."""
    is_open = orders.c.cancelled_at.is_(None)
    wanted = _orders().where(is_open, *whole(conn, orders)).order_by(orders.c.ordered_at, orders.c.id)
    return tuple(order for order in map(_order, conn.execute(wanted)) if order.missing)


def cancel(conn: Connection, order_id: str, *, by: str, now: datetime) -> bool:
    """Record that an order is cancelled; False if there is no such order, or it is already cancelled."""
    cancelled = (
        update(orders)
        .where(orders.c.id == order_id, orders.c.cancelled_at.is_(None))
        .values(cancelled_at=now, cancelled_by=by)
    )
    return conn.execute(cancelled).rowcount == 1


def note_reminded(conn: Connection, order_id: str, *, now: datetime) -> bool:
    """Record that an overdue order was reported; False if it already was."""
    reminded = (
        update(orders).where(orders.c.id == order_id, orders.c.reminded_at.is_(None)).values(reminded_at=now)
    )
    return conn.execute(reminded).rowcount == 1


def add_top_ups(conn: Connection, seen: Iterable[TopUp]) -> list[tuple[TopUp, list[Match]]]:
    """Store new top-ups and match them to orders; return each with its matches."""
    new = sorted(seen, key=lambda top_up: (top_up.at, top_up.wallet))
    if not new:
        return []
    names = {top_up.wallet for top_up in new}
    ids = {
        row.name: row.id
        for row in conn.execute(select(wallets.c.name, wallets.c.id).where(wallets.c.name.in_(names)))
    }
    waiting = {order.id: order for order in awaited(conn)}
    kept: list[tuple[TopUp, list[Match]]] = []
    for top_up in new:
        statement = insert(top_ups).values(
            at=top_up.at,
            wallet_id=ids[top_up.wallet],
            category=top_up.category,
            messages=top_up.messages,
            hidden_use=top_up.hidden_use,
        )
        with_id = top_up._replace(id=conn.execute(statement.returning(top_ups.c.id)).scalar_one())
        matches = match_top_up(with_id, tuple(waiting.values()))
        _add_matches(conn, matches)
        for match in matches:
            order = waiting[match.order_id]
            waiting[order.id] = replace(
                order,
                arrived=order.arrived + match.messages,
                hidden_use=order.hidden_use + top_up.hidden_use,
            )
        kept.append((with_id, matches))
    return kept


def replace_top_ups(
    conn: Connection,
    account: str,
    found: Iterable[TopUp],
    *,
    since: int,
    until: int,
    is_known: Callable[[Hour], bool],
) -> None:
    """Replace the top-ups of an account in the hours `[since, until)` by those that were found.

    Other stored top-ups are deleted only if `is_known` says that their hour was booked again. A top-up that was found
    again keeps its matches.
    """
    new = {
        (top_up.at, top_up.wallet, top_up.category, top_up.messages): top_up
        for top_up in found
        if since <= top_up.hour.epoch_hour < until
    }
    for kept in top_ups_between(conn, since=since, until=until, accounts=[account]):
        known = new.pop((kept.at, kept.wallet, kept.category, kept.messages), None)
        if known is None and is_known(kept.hour):
            remove_top_up(conn, kept.id)
    add_top_ups(conn, new.values())


def reduce_top_ups(conn: Connection, hour: Hour, messages: int) -> None:
    """Reduce the top-ups of a balance in an hour by this many messages, because a reading was wrong."""
    seen = top_ups_between(
        conn, since=hour.epoch_hour, until=hour.epoch_hour + 1, accounts=[account_of(hour.balance.wallet)]
    )
    for top_up in reversed([top_up for top_up in seen if top_up.hour == hour]):
        part = min(messages, top_up.messages)
        messages -= part
        if part < top_up.messages:
            left = top_up.messages - part
            conn.execute(update(top_ups).where(top_ups.c.id == top_up.id).values(messages=left))
            _bound_matches(conn, top_up.id, left)
        else:
            remove_top_up(conn, top_up.id)
        if not messages:
            return


def remove_top_up(conn: Connection, top_up_id: str) -> None:
    """Delete a top-up and its matches."""
    conn.execute(delete(order_matches).where(order_matches.c.top_up_id == top_up_id))
    conn.execute(delete(top_ups).where(top_ups.c.id == top_up_id))


def top_ups_between(
    conn: Connection, *, since: int, until: int, accounts: Collection[str] | None = None
) -> list[TopUp]:
    """Return the top-ups of the hours `[since, until)` (whole hours since 1970 in UTC), oldest first."""
    wanted = (
        _top_ups()
        .where(top_ups.c.at > since * SECONDS_PER_HOUR, top_ups.c.at <= until * SECONDS_PER_HOUR)
        .order_by(top_ups.c.at, top_ups.c.id)
    )
    if accounts is not None:
        wanted = wanted.where(wallets.c.account.in_(accounts))
    return [TopUp(*row) for row in conn.execute(wanted)]


def find_top_up(conn: Connection, top_up_id: str) -> TopUp | None:
    """Return one top-up; None if there is none with this id."""
    row = conn.execute(_top_ups().where(top_ups.c.id == top_up_id)).one_or_none()
    return None if row is None else TopUp(*row)


def top_ups_of(conn: Connection, account: str, category: Category, *, limit: int) -> list[TopUp]:
    """Return the latest top-ups of an account's category, the latest first."""
    wanted = (
        _top_ups()
        .where(wallets.c.account == account, top_ups.c.category == category)
        .order_by(top_ups.c.at.desc(), top_ups.c.id.desc())
        .limit(limit)
    )
    return [TopUp(*row) for row in conn.execute(wanted)]


def matches_of(conn: Connection, top_up_ids: Collection[str]) -> Mapping[str, list[Match]]:
    """Return the matches of top-ups by their ids, ordered by order id."""
    found: dict[str, list[Match]] = {}
    for ids in chunked(top_up_ids):
        wanted = (
            select(order_matches.c.top_up_id, order_matches.c.order_id, order_matches.c.messages)
            .where(order_matches.c.top_up_id.in_(ids))
            .order_by(order_matches.c.order_id)
        )
        for top_up_id, order_id, messages in conn.execute(wanted):
            found.setdefault(top_up_id, []).append(Match(top_up_id, order_id, messages))
    return found


def rematch(conn: Connection, top_up: TopUp, matches: Sequence[Match]) -> None:
    """Replace the matches of a top-up."""
    conn.execute(delete(order_matches).where(order_matches.c.top_up_id == top_up.id))
    _add_matches(conn, matches)


def _bound_matches(conn: Connection, top_up_id: str, most: int) -> None:
    """Reduce the matches of a top-up to at most `most` messages in total."""
    kept: list[Match] = []
    for match in matches_of(conn, [top_up_id]).get(top_up_id, []):
        part = min(match.messages, most)
        most -= part
        if part:
            kept.append(match._replace(messages=part))
    conn.execute(delete(order_matches).where(order_matches.c.top_up_id == top_up_id))
    _add_matches(conn, kept)


def _add_matches(conn: Connection, matches: Sequence[Match]) -> None:
    if matches:
        conn.execute(insert(order_matches), [match._asdict() for match in matches])


def _orders() -> Select[Any]:
    of_order = order_matches.c.order_id == orders.c.id
    arrived = select(func.sum(order_matches.c.messages)).where(of_order)
    hidden = select(func.sum(top_ups.c.hidden_use)).join_from(order_matches, top_ups).where(of_order)
    return select(
        *(orders.c[name] for name in _NAMES),
        arrived.correlate(orders).scalar_subquery().label("arrived"),
        hidden.correlate(orders).scalar_subquery().label("hidden_use"),
    )


def _order(row: Row[Any]) -> Order:
    sums = {"arrived": int(row.arrived or 0), "hidden_use": int(row.hidden_use or 0)}
    return Order(**{**row._mapping, **sums})


def _top_ups() -> Select[Any]:
    columns = (top_ups.c[name] for name in ("category", "messages", "hidden_use"))
    return select(top_ups.c.id, top_ups.c.at, wallets.c.name, *columns).join_from(
        top_ups, wallets, top_ups.c.wallet_id == wallets.c.id
    )
