"""Explain one balance: its reading, estimate, verdict, alerts and notifications, and when it alerts next.

`why`, the pages and Slack all show these data; `render.py` turns them into text. It only reads the database.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from balancebot.config import Settings
from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName, account_of
from balancebot.domain.escalation import upcoming
from balancebot.domain.message import AlertMessage
from balancebot.domain.outlook import SEVERITY_OF, BalanceStanding, Outlook, outlooks
from balancebot.domain.quiet_hours import waiting_until
from balancebot.domain.routing import Destination
from balancebot.domain.runway import Estimate, PlannedUse
from balancebot.domain.sentence import Sentence, did_you_mean, sentence
from balancebot.domain.silence import Silence, silenced_until
from balancebot.domain.threshold import Effective, LimitColumn, Scope, ThresholdBook
from balancebot.domain.threshold_cell import read_category
from balancebot.domain.verdict import COUNTS, Severity, Verdict, judge
from balancebot.estimates.context import ContextReader
from balancebot.overview.balances import BalanceView, overview
from balancebot.store import alerts, notification_history, silences, wallets
from balancebot.store.notification_history import NotificationRecord
from balancebot.store.wallets import WalletRow

_HOURS_PER_DAY = 24.0
_REMEMBERED = 20
"""The last closed alert is searched for among this many of a wallet's latest alerts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """One limit of a balance, the row it comes from, and the value that is compared with it."""

    column: LimitColumn
    limit: float | None
    """In messages or days; None = off, or set nowhere."""
    origin: Scope | None
    """The row that sets it (to a number or to off); None = built in, or set nowhere."""
    value: float | None
    """The compared value: messages, or days of the judged runway; None = unknown."""

    @property
    def is_crossed(self) -> bool:
        """Whether the value is below the limit."""
        return self.limit is not None and self.value is not None and self.value < self.limit

    @property
    def is_count(self) -> bool:
        """Whether it is in messages, not in days."""
        return self.column in COUNTS

    @property
    def severity(self) -> Severity:
        """The severity if it is crossed."""
        return SEVERITY_OF[self.column]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertExplanation:
    """One alert, the silences that apply to it now, and the notifications that were sent, the latest first."""

    alert: Alert
    message: AlertMessage
    silences: tuple[Silence, ...]
    notifications: tuple[NotificationRecord, ...]
    waits_until: datetime | None = None
    """The end of the quiet hours that delay its opening or worsening."""
    escalates: tuple[tuple[datetime, tuple[Destination, ...]], ...] = ()
    """When it escalates to which destinations if nobody acknowledges it, the soonest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceExplanation:
    """One balance, from its reading to its outlook."""

    view: BalanceView
    limits: tuple[LimitCheck, ...]
    verdict: Verdict
    """The verdict on the present reading and estimate."""
    alerts: tuple[AlertExplanation, ...]
    """Its open alerts."""
    last_closed: Alert | None
    """Its latest closed `low_balance` alert."""
    silences: tuple[Silence, ...]
    """The silences that apply to it."""
    destinations: tuple[Destination, ...]
    """Where an alert of its severity, at least a warning, is sent."""
    outlook: tuple[Outlook, ...]
    planned: tuple[PlannedUse, ...] = ()
    """The sends that were announced or are expected."""

    @property
    def is_allocated(self) -> bool:
        """Whether it isn't unallocated, as far as is known."""
        return self.view.reading is not Absent.UNALLOCATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A wallet as a whole, and one or all of its balances."""

    at: datetime
    wallet: WalletName
    category: Category | None
    """None: the explanation is about the whole wallet."""
    is_configured: bool
    row: WalletRow | None
    """None: the wallet isn't in the database yet."""
    stale_after: timedelta
    confidence: float
    alerts: tuple[AlertExplanation, ...]
    """The open alerts about the wallet, including shared ones."""
    balances: tuple[BalanceExplanation, ...]

    @property
    def shown(self) -> tuple[BalanceExplanation, ...]:
        """The balances to show: the requested one, or those of the wallet that have quota."""
        return tuple(
            balance for balance in self.balances if self.category is not None or balance.is_allocated
        )


def read_target(
    conn: Connection, text: str, *, configured: Sequence[WalletName]
) -> tuple[WalletName, Category | None] | Sentence:
    """Parse the name of a balance, `acme/checkout:industry`, or of a wallet; return what is wrong.

    Wallets that were configured in the past are accepted too.
    """
    name, colon, word = text.strip().rpartition(":")
    if not colon:
        name, word = word, "*"
    category = read_category(word)
    if isinstance(category, Sentence):
        return sentence("%(balance)s: %(fault)s", balance=text.strip(), fault=category)
    wallet = WalletName(name.strip())
    if wallet in configured or wallets.find(conn, wallet) is not None:
        return wallet, category
    return sentence("there is no wallet %(name)s%(hint)s", name=name, hint=did_you_mean(name, configured))


def explain(
    conn: Connection,
    wallet: WalletName,
    category: Category | None,
    *,
    settings: Settings,
    book: ThresholdBook,
    figures: ContextReader,
    now: datetime,
) -> Explanation:
    """Explain one balance, or with `category` None all balances of a wallet."""
    row = wallets.find(conn, wallet)
    planned = {} if row is None else figures.planned(conn, [row], now=now)
    collector = _Collector(conn, wallet, row, planned=planned, settings=settings, now=now)
    views = overview(conn, book=book, stale_after=settings.poll.stale_after, now=now, names=[wallet])
    return Explanation(
        at=now,
        wallet=wallet,
        category=category,
        is_configured=wallet in settings.wallets,
        row=row,
        stale_after=settings.poll.stale_after,
        confidence=settings.alerts.runway_confidence,
        alerts=collector.wallet_alerts,
        balances=tuple(collector.balance(view) for view in views if category in {None, view.key.category}),
    )


class _Collector:
    """Reads what is needed about one wallet, once."""

    def __init__(
        self,
        conn: Connection,
        wallet: WalletName,
        row: WalletRow | None,
        *,
        planned: Mapping[BalanceKey, tuple[PlannedUse, ...]],
        settings: Settings,
        now: datetime,
    ) -> None:
        self._conn = conn
        self._row = row
        self._planned = planned
        self._settings = settings
        self._now = now
        self._silences = silences.active(conn, now)
        hours = settings.quiet_hours
        self._quiet = None if hours is None else hours.at(now)
        self.wallet_alerts = self._explained(wallet, None)
        """The open alerts about the wallet as a whole."""

    def balance(self, view: BalanceView) -> BalanceExplanation:
        """Explain one balance."""
        key, limits = view.key, view.effective.limits
        found = self._explained(*key)
        low = next(
            (message.alert for message in found if message.alert.subject.kind is AlertKind.LOW_BALANCE), None
        )
        margin = self._settings.alerts.recovery_margin
        verdict = judge(
            view.reading,
            view.estimate,
            limits,
            ever_positive=view.ever_positive,
            margin=margin,
            opened_by_days=low is not None and low.opened_by_days,
        )
        subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=key.wallet, category=key.category)
        return BalanceExplanation(
            view=view,
            limits=tuple(_checks(view.reading, view.estimate, view.effective)),
            verdict=verdict,
            planned=self._planned.get(key, ()),
            alerts=found,
            last_closed=self._last_closed(key),
            silences=self._holding(subject),
            destinations=self._settings.routing.destinations(*key, max(verdict.severity, Severity.WARNING)),
            outlook=outlooks(
                BalanceStanding(
                    now=self._now,
                    is_configured=key.wallet in self._settings.wallets,
                    reading=view.reading,
                    next_read_at=view.next_reading and view.next_reading.at,
                    is_failing=bool(view.error),
                    stale_at=self._stale_at(),
                    is_suspect=self._row is not None and self._row.suspect_since is not None,
                    estimate=view.estimate,
                    limits=limits,
                    verdict=verdict,
                    alert=low,
                    silenced_until=silenced_until(self._silences, low or subject, self._now),
                    margin=margin,
                    remind_every=self._settings.alerts.remind_every,
                )
            ),
        )

    def _explained(self, wallet: WalletName, category: Category | None) -> tuple[AlertExplanation, ...]:
        names: Sequence[WalletName] = (wallet, WalletName(account_of(wallet)))
        return tuple(
            AlertExplanation(
                alert=alert,
                message=message,
                silences=self._holding(alert.subject, alert.members),
                notifications=notification_history.of_alert(self._conn, alert.id),
                waits_until=waiting_until(self._quiet, alert),
                escalates=upcoming(self._settings.escalations, alert),
            )
            for message in alerts.open_of(self._conn, set(names))
            if (alert := message.alert).id is not None
            and alert.subject.category == category
            and wallet in (alert.members or (alert.subject.wallet,))
        )

    def _stale_at(self) -> datetime | None:
        row = self._row
        if row is None or row.error_kind is None or self.wallet_alerts:
            return None
        since = row.observed_at or row.first_attempt_at
        return None if since is None else since + self._settings.poll.stale_after

    def _holding(self, subject: AlertSubject, members: tuple[WalletName, ...] = ()) -> tuple[Silence, ...]:
        return tuple(silence for silence in self._silences if silence.matches(subject, members))

    def _last_closed(self, key: BalanceKey) -> Alert | None:
        listed = alerts.listed(self._conn, closed=True, wallet=key.wallet, limit=_REMEMBERED)
        return next(
            (
                alert
                for last in listed
                if (alert := last.alert).closed_at is not None
                and alert.subject
                == AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=key.wallet, category=key.category)
            ),
            None,
        )


def _checks(reading: object, estimate: Estimate, effective: Effective) -> Iterator[LimitCheck]:
    count = float(reading) if isinstance(reading, int) else None
    days = None if estimate.runway is None else estimate.runway.judged / _HOURS_PER_DAY
    for column in LimitColumn:
        yield LimitCheck(
            column=column,
            limit=getattr(effective.limits, column.value),
            origin=effective.origins.of(column),
            value=count if column in COUNTS else days,
        )
