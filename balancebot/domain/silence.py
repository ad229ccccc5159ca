"""A silence: a person mutes the alerts that a pattern matches, until a time, for a reason."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from balancebot.domain.alert import Alert, AlertSubject, was_ahead
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.sentence import Sentence
from balancebot.domain.verdict import Severity

LONGEST_SILENCE = timedelta(days=30)
ANNOUNCED_EVERY = timedelta(days=7)
"""How often people are reminded of a broad silence that is still active."""
MANY_WALLETS = 20
"""A silence of more wallets than this is broad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Active from its creation to `until`, or to `ended_at` if a person ended it earlier."""

    id: int | None = None
    """None until it is stored."""
    pattern: Pattern | Patterns
    begins_at: datetime
    until: datetime
    reason: str
    created_by: str
    ended_at: datetime | None = None
    ended_by: str = ""
    announced_at: datetime | None = None
    """When it was last announced as a broad silence; None = never."""

    def holds(self, now: datetime) -> bool:
        """Return whether it is active at `now`. `begins_at` may be later if the clock was set back since then."""
        return now < self.until and self.ended_at is None

    def was_made_ahead(self, now: datetime) -> bool:
        """Return whether it was created while the clock was ahead, so that it would last longer than intended."""
        return was_ahead(self.begins_at, now)

    def matches(self, subject: AlertSubject, members: tuple[WalletName, ...] = ()) -> bool:
        """Return whether it mutes an alert. An alert shared by several wallets is muted if all of them match."""
        return all(self.pattern.matches(wallet, subject.category) for wallet in members or (subject.wallet,))

    @property
    def mutes_everything(self) -> bool:
        """Whether its pattern is `*`."""
        parts = self.pattern.parts if isinstance(self.pattern, Patterns) else (self.pattern,)
        return any(part.categories is None and not part.wallet.text.strip("*") for part in parts)

    def mutes_urgently(self, open_alerts: Iterable[Alert]) -> bool:
        """Return whether it mutes an open alert that is critical or depleted."""
        return any(
            alert.severity >= Severity.CRITICAL and alert.muted and self.matches(alert.subject, alert.members)
            for alert in open_alerts
        )

    def num_wallets(self, wallets: Iterable[WalletName]) -> int:
        """Count the wallets of which it mutes at least one category."""
        return sum(any(self.pattern.matches(wallet, category) for category in Category) for wallet in wallets)

    def is_announced_again(self, now: datetime) -> bool:
        """Return whether it is time to announce again that it is active. A clock set back causes one announcement more."""
        if self.announced_at is None:
            return False
        return not timedelta() <= now - self.announced_at < ANNOUNCED_EVERY


def pattern_of(*alerts: Alert) -> Pattern | Patterns:
    """Return a pattern that matches exactly the balances and wallets of the alerts.

    For an alert that is shared by the wallets of an account, the pattern matches all its apps, and the shared pool if
    that is one of the members.
    """
    parts = tuple(dict.fromkeys(part for alert in alerts for part in _parts(alert)))
    return parts[0] if len(parts) == 1 else Patterns(parts=parts)


def _parts(alert: Alert) -> Iterator[Pattern]:
    wallet, category = alert.subject.wallet, alert.subject.category
    if category is not None:
        yield _parsed(f"{wallet}:{category.value}")
        return
    if not alert.members or wallet in alert.members:
        yield _parsed(wallet)
    if alert.members:
        yield _parsed(f"{wallet}/*")


def _parsed(text: str) -> Pattern:
    pattern = Pattern.parse(text)
    if isinstance(pattern, Sentence):  # can't happen: every valid name is a valid pattern
        raise TypeError(f"{text}: the pattern {pattern}")
    return pattern


def silenced_until(
    silences: Iterable[Silence], alert: Alert | AlertSubject, now: datetime
) -> datetime | None:
    """Return until when an alert is silenced at `now`; None if it isn't."""
    subject, members = (alert, ()) if isinstance(alert, AlertSubject) else (alert.subject, alert.members)
    return max(
        (silence.until for silence in silences if silence.holds(now) and silence.matches(subject, members)),
        default=None,
    )
