"""A silence: a person mutes what a pattern means, until a time, for a reason."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from balancebot.domain.alert import Alert, AlertSubject
from balancebot.domain.balance import WalletName
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.sentence import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Holds in `[begins_at, until)`, or to `ended_at` if a person ended it before."""

    id: int | None = None
    """None until it is stored."""
    pattern: Pattern | Patterns
    begins_at: datetime
    until: datetime
    reason: str
    created_by: str
    ended_at: datetime | None = None
    ended_by: str = ""

    def holds(self, now: datetime) -> bool:
        """Tell whether it mutes at `now`."""
        return self.begins_at <= now < self.until and self.ended_at is None

    def matches(self, subject: AlertSubject, members: tuple[WalletName, ...] = ()) -> bool:
        """Tell whether an alert is meant; one that wallets share is when each of these wallets is."""
        return all(self.pattern.matches(wallet, subject.category) for wallet in members or (subject.wallet,))


def pattern_of(*alerts: Alert) -> Pattern | Patterns:
    """Return what means exactly the balances and wallets that alerts are about.

    One that an account shares with its apps means the account and its apps, or these alone.
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
    if isinstance(pattern, Sentence):  # names are made of what patterns are made of
        raise TypeError(f"{text}: the pattern {pattern}")
    return pattern


def silenced_until(
    silences: Iterable[Silence], alert: Alert | AlertSubject, now: datetime
) -> datetime | None:
    """Return the instant to which an alert is silenced at `now`, or None if it isn't."""
    subject, members = (alert, ()) if isinstance(alert, AlertSubject) else (alert.subject, alert.members)
    return max(
        (silence.until for silence in silences if silence.holds(now) and silence.matches(subject, members)),
        default=None,
    )
