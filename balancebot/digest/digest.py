"""Digests: one is made for each name and slot when it is due, even if several processes try.

The slot is claimed in the transaction that enqueues the digest: either both happen or neither.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.config import DigestConfig, DigestKind
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.digest import Slot, latest_slot
from balancebot.domain.message import DigestLine, DigestMessage, NoticeMessage
from balancebot.domain.routing import Destination
from balancebot.domain.usage import SECONDS_PER_DAY, SECONDS_PER_HOUR
from balancebot.domain.verdict import Severity, urgency
from balancebot.estimates.context import ContextReader, recent_history, up_to_now
from balancebot.overview.balances import BalanceView, overview
from balancebot.ports import Clock
from balancebot.statements.notice import statement_notice
from balancebot.statements.statement import MakeStatements
from balancebot.store import (
    alerts,
    digest_slots,
    installation,
    orders,
    outbox,
    planned_sends,
    silences,
    use_totals,
    wallets,
)
from balancebot.store.database import Database
from balancebot.store.digest_slots import MadeDigest
from balancebot.store.thresholds import ThresholdCache
from balancebot.store.usage import Used

_WEEK_HOURS = 7 * 24
_FIRST_SPAN = timedelta(days=7)
"""The period that the first digest of a name covers."""
_SILENCE_ENDS_SOON = timedelta(days=2)
_COMING_DAYS = timedelta(days=7)
"""How far ahead planned sends are listed."""
_DRAWN = 20
_ORDER = {category: index for index, category in enumerate(Category)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDigest:
    """Makes digests and enqueues them."""

    database: Database
    clock: Clock
    steady: Clock
    digests: Sequence[DigestConfig]
    zone: ZoneInfo
    thresholds: ThresholdCache
    figures: ContextReader
    configured: Callable[[], Sequence[WalletName]]
    """Returns the wallets that are read now: the apps files may change while the process runs."""
    stale_after: timedelta
    make_statements: MakeStatements

    def run_due(self) -> tuple[str, ...]:
        """Make every digest whose slot is due and not taken; return their names.

        A new digest starts with its next slot: it hasn't missed any.
        """
        now = self.steady.now()
        due = [
            (digest, slot)
            for digest in self.digests
            if (slot := latest_slot(digest.cron, self.zone, now=now)) is not None
        ]
        with self.database.read() as conn:
            waiting = [(digest, slot) for digest, slot in due if self._is_wanted(conn, digest, slot)]
            new = [digest for digest in self.digests if installation.find(conn, _known(digest)) is None]
        if not waiting and not new:
            return ()
        with self.database.write() as conn:
            for digest in new:
                installation.note(conn, _known(digest), "", now=now)
            return tuple(digest.name for digest, slot in waiting if self._make(conn, digest, slot, now))

    def send(self, name: str) -> bool:
        """Make the digest `name` now, independent of its schedule; False if there is no such digest."""
        now = self.clock.now()
        digest = self._named(name)
        if digest is None:
            return False
        with self.database.write() as conn:
            made = self._made(conn, digest, at=now, local=_local(now, self.zone), late=False, now=now)
            outbox.enqueue_plain(
                conn,
                message=made,
                destinations=_destinations(digest),
                now=now,
            )
        return True

    def preview(self, name: str) -> DigestMessage | NoticeMessage | None:
        """Return the digest `name` as it would be now; None if there is no such digest."""
        now = self.clock.now()
        digest = self._named(name)
        if digest is None:
            return None
        with self.database.read() as conn:
            return self._made(conn, digest, at=now, local=_local(now, self.zone), late=False, now=now)

    def _named(self, name: str) -> DigestConfig | None:
        return next((digest for digest in self.digests if digest.name == name), None)

    def _is_wanted(self, conn: Connection, digest: DigestConfig, slot: Slot) -> bool:
        known = installation.find(conn, _known(digest))
        if known is None or slot.at < known.at:
            return False
        return not digest_slots.is_taken(conn, digest.name, slot.local)

    def _make(self, conn: Connection, digest: DigestConfig, slot: Slot, now: datetime) -> bool:
        made = self._made(conn, digest, at=slot.at, local=slot.local, late=slot.is_late(now), now=now)
        taken = digest_slots.claim(
            conn,
            MadeDigest(
                name=digest.name,
                slot=slot.local,
                made_at=now,
                summary=_summary(made) if isinstance(made, DigestMessage) else "{}",
            ),
        )
        if taken:
            outbox.enqueue_plain(conn, message=made, destinations=_destinations(digest), now=now)
        return taken

    def _made(
        self, conn: Connection, digest: DigestConfig, *, at: datetime, local: str, late: bool, now: datetime
    ) -> DigestMessage | NoticeMessage:
        if digest.kind is DigestKind.STATEMENT:
            month = (at.astimezone(self.zone).date().replace(day=1) - timedelta(days=1)).replace(day=1)
            return statement_notice(self.make_statements.read(conn, month), language=digest.language, now=now)
        return self._message(conn, digest, local=local, late=late, now=now)

    def _message(
        self, conn: Connection, digest: DigestConfig, *, local: str, late: bool, now: datetime
    ) -> DigestMessage:
        last = digest_slots.latest(conn, digest.name)
        since = now - _FIRST_SPAN if last is None else last.made_at
        views = overview(
            conn,
            book=self.thresholds.book(conn),
            stale_after=self.stale_after,
            now=now,
            names=self.configured(),
        )
        past = _PastUsage.read(conn, since=since, now=now)
        before = {} if last is None else _severities(last.summary)
        advice = self.figures.advise(conn, wallets.all_wallets(conn), now=now)
        lines = [
            replace(past.line(view, before), advice=advice.get(view.key))
            for view in views
            if view.reading is not Absent.UNALLOCATED
        ]
        listed = alerts.listed(conn, closed=True)
        soon = now + _SILENCE_ENDS_SOON
        return DigestMessage(
            name=digest.name,
            slot=local,
            at=now,
            since=None if last is None else last.made_at,
            late=late,
            language=digest.language,
            lines=tuple(_with_history(conn, sorted(lines, key=_worst_first), now)),
            # the worst first, because a digest lists only some
            open_alerts=tuple(
                sorted(
                    (message for message in listed if message.is_open),
                    key=lambda message: (-message.alert.severity, message.alert.opened_at),
                )
            ),
            recovered=tuple(
                message
                for message in listed
                if message.alert.closed_at is not None
                and message.alert.closed_at >= since
                and message.alert.peak is not None
            ),
            silences=tuple(
                (silence.pattern.text, silence.until, silence.reason)
                for silence in silences.active(conn, now)
                if silence.until <= soon or silence.announced_at is not None
            ),
            planned=tuple(
                (*plan.balance, plan.use)
                for plan in planned_sends.not_over(conn, now=now)
                if plan.starts_at <= now + _COMING_DAYS
            ),
            muted=alerts.muted_counts(conn),
            orders=tuple(sorted(orders.awaited(conn), key=lambda order: order.expected_at)),
            package_sizes=dict(self.figures.package_sizes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PastUsage:
    """The totals of each wallet since the last digest, in the last week and in the week before."""

    ids: Mapping[WalletName, int]
    since: Mapping[int, tuple[Used, ...]]
    week: Mapping[int, tuple[Used, ...]]
    week_before: Mapping[int, tuple[Used, ...]]

    @classmethod
    def read(cls, conn: Connection, *, since: datetime, now: datetime) -> "_PastUsage":
        hour = int(now.timestamp() // SECONDS_PER_HOUR)
        start = int(since.timestamp() // SECONDS_PER_HOUR)
        return cls(
            ids=wallets.ids(conn),
            since=use_totals.of_hours(conn, since=start, until=hour + 1),
            week=use_totals.of_hours(conn, since=hour - _WEEK_HOURS, until=hour),
            week_before=use_totals.of_hours(conn, since=hour - 2 * _WEEK_HOURS, until=hour - _WEEK_HOURS),
        )

    def line(self, view: BalanceView, before: Mapping[str, Severity]) -> DigestLine:
        since = self._of(self.since, view.key)
        return DigestLine(
            wallet=view.key.wallet,
            category=view.key.category,
            severity=view.severity,
            reading=view.reading,
            observed_at=view.observed_at,
            stale=view.is_stale,
            burn_per_day=view.estimate.burn_per_day,
            burn_week=self._burn(self.week, view.key),
            burn_week_before=self._burn(self.week_before, view.key),
            runway=view.estimate.runway,
            depletes_at=view.depletes_at,
            limits_set=view.effective.set_by_people,
            severity_before=before.get(str(view.key)),
            stopped=view.stopped,
            topped_up=since.topped_up,
            transferred=since.transferred,
            used=since.use,
            note=view.effective.note,
        )

    def _of(self, totals: Mapping[int, tuple[Used, ...]], key: BalanceKey) -> Used:
        wallet_id = self.ids.get(key.wallet)
        used = None if wallet_id is None else totals.get(wallet_id)
        return Used() if used is None else used[_ORDER[key.category]]

    def _burn(self, totals: Mapping[int, tuple[Used, ...]], key: BalanceKey) -> float | None:
        """Return the usage per day in a week, based on the time in which usage was visible; None if there was none."""
        used = self._of(totals, key)
        return used.use / used.exposure * SECONDS_PER_DAY if used.exposure else None


def _with_history(conn: Connection, lines: Sequence[DigestLine], now: datetime) -> Iterator[DigestLine]:
    """Add the history of the last days to the first lines, those that fit into the picture."""
    drawn = lines[:_DRAWN]
    rows = wallets.named(conn, {line.wallet for line in drawn})
    balances = {(rows[line.wallet].id, line.category) for line in drawn if line.wallet in rows}
    histories = recent_history(conn, balances, now)
    for line in drawn:
        row = rows.get(line.wallet)
        if row is None:
            yield line
        else:
            yield replace(line, recent=up_to_now(histories[row.id, line.category], line.reading))
    yield from lines[_DRAWN:]


def _worst_first(line: DigestLine) -> tuple[int, float, str, int]:
    return *urgency(line.severity, line.runway), line.wallet, _ORDER[line.category]


def _destinations(digest: DigestConfig) -> tuple[Destination, ...]:
    return tuple(
        Destination(channel, address)
        for channel, addresses in digest.destinations.items()
        for address in addresses
    )


def _known(digest: DigestConfig) -> str:
    return f"{installation.DIGEST_KNOWN}{digest.name}"


def _local(now: datetime, zone: ZoneInfo) -> str:
    return now.astimezone(zone).replace(tzinfo=None).isoformat(timespec="minutes")


def _summary(made: DigestMessage | NoticeMessage) -> str:
    if isinstance(made, NoticeMessage):
        return "{}"
    return json.dumps(
        {f"{line.wallet}:{line.category}": line.severity.word for line in made.lines}, ensure_ascii=False
    )


def _severities(summary: str) -> Mapping[str, Severity]:
    return {key: Severity[word.upper()] for key, word in json.loads(summary).items()}
