"""Readings that the next one proved wrong, whose usage was booked again: stored as entries of the audit log."""

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.usage import SECONDS_PER_DAY, WrongReading
from balancebot.store.audit import Change, record_changes
from balancebot.store.tables import audit

MAX_PER_DAY = 10
"""For each balance; without a limit, a system that alternates between two answers would fill the log."""
_MAX_SUBJECTS = 500
_MAX_READ = 100_000


def note(conn: Connection, found: Collection[WrongReading], *, via: Via, now: datetime) -> None:
    """Store wrong readings, once each, up to `MAX_PER_DAY` for a balance and UTC day."""
    if not found:
        return
    first = min(wrong.at for wrong in found) // SECONDS_PER_DAY * SECONDS_PER_DAY
    kept = between(
        conn, since=datetime.fromtimestamp(first, UTC), balances={wrong.balance for wrong in found}
    )
    known = {(wrong.balance, wrong.at) for wrong in kept}
    per_day = Counter((wrong.balance, wrong.at // SECONDS_PER_DAY) for wrong in kept)
    changes: list[Change] = []
    for wrong in found:
        at, day = int(wrong.at), (wrong.balance, int(wrong.at) // SECONDS_PER_DAY)
        if (wrong.balance, at) in known or per_day[day] >= MAX_PER_DAY:
            continue
        per_day[day] += 1
        read_at = datetime.fromtimestamp(at, UTC).isoformat()
        changes.append(
            (
                Act.CORRECT_READING,
                str(wrong.balance),
                {"balance": wrong.reading, "read_at": read_at},
                {"balance": wrong.instead, "read_at": read_at},
            )
        )
    record_changes(conn, Actor(name="balancebot", via=via), changes, now=now)


def between(
    conn: Connection,
    *,
    since: datetime,
    until: datetime | None = None,
    balances: Collection[BalanceKey] | None = None,
) -> list[WrongReading]:
    """Return the wrong readings of `[since, until)` and of `balances` (None: of all), the oldest first."""
    # an import notes readings long after they were read, so the end says nothing about when they were noted
    wanted = (
        select(audit.c.subject, audit.c.before, audit.c.after)
        .where(audit.c.act == Act.CORRECT_READING, audit.c.at >= since)
        .order_by(audit.c.id.desc())
        .limit(_MAX_READ)
    )
    if balances is not None and len(balances) <= _MAX_SUBJECTS:
        wanted = wanted.where(audit.c.subject.in_([str(balance) for balance in balances]))
    first, end = since.timestamp(), None if until is None else until.timestamp()
    found = []
    for subject, before, after in conn.execute(wanted):
        wallet, _, category = subject.rpartition(":")
        wrong = WrongReading(
            datetime.fromisoformat(before["read_at"]).timestamp(),
            BalanceKey(WalletName(wallet), Category(category)),
            before["balance"],
            after["balance"],
        )
        if (
            first <= wrong.at
            and (end is None or wrong.at < end)
            and (balances is None or wrong.balance in balances)
        ):
            found.append(wrong)
    return sorted(found)
