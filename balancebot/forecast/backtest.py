"""The backtest of limits: which alerts they would have caused in the past, by the alert table applied to past readings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from balancebot.domain.alert import FLAPPING_WITHIN, Alert, AlertKind, AlertSubject, Reason, advance
from balancebot.domain.balance import BalanceKey, Reading
from balancebot.domain.runway import Estimate
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The reading and estimate of a balance at one instant."""

    at: datetime
    reading: Reading
    estimate: Estimate
    topped_up: bool = False
    """Whether quota was bought since the previous moment."""


class Ending(StrEnum):
    """How an episode ended after its notification."""

    RAN_OUT = "ran_out"
    TOPPED_UP = "topped_up"
    RECOVERED = "recovered"
    """It passed its limits again without a purchase, because usage fell or quota was moved here."""
    STILL_OPEN = "still_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSent:
    """One message that would have been sent."""

    at: datetime
    severity: Severity
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One alert that would have been opened."""

    notices: tuple[NoticeSent, ...]
    """The messages about its opening and each worsening; never empty."""
    ending: Ending
    ended_at: datetime | None
    """When it first ran out, was topped up or recovered; None = still open."""

    @property
    def opened_at(self) -> datetime:
        """When the first message would have been sent."""
        return self.notices[0].at

    @property
    def worst(self) -> Severity:
        """The worst severity of its messages."""
        return max(notice.severity for notice in self.notices)

    @property
    def notice(self) -> timedelta | None:
        """The time from the first message until the balance ran out or was topped up; None = neither happened."""
        if self.ended_at is None or self.ending not in {Ending.RAN_OUT, Ending.TOPPED_UP}:
            return None
        return self.ended_at - self.opened_at


def episodes(
    moments: Iterable[Moment],
    limits: Limits,
    *,
    balance: BalanceKey,
    margin: float,
    ever_positive: bool,
    read_before: bool = False,
) -> tuple[Episode, ...]:
    """Return the alerts that `limits` would have opened over `moments` (oldest first), in the order they opened.

    With `read_before`, an alert that is open at the first moment was opened earlier, and doesn't count.
    """
    first: datetime | None = None
    subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=balance.wallet, category=balance.category)
    found: list[Episode] = []
    alert: Alert | None = None
    for moment in moments:
        first = first or moment.at
        verdict = judge(
            moment.reading,
            moment.estimate,
            limits,
            ever_positive=ever_positive,
            margin=margin,
            opened_by_days=alert is not None and alert.opened_by_days,
        )
        ever_positive = ever_positive or (isinstance(moment.reading, int) and moment.reading > 0)
        if found and alert is not None:
            found[-1] = _continued(found[-1], moment)
        step = advance(
            alert,
            verdict,
            subject=subject,
            now=moment.at,
            silenced=False,
            limits=limits,
            flaps=_flaps(found, moment.at)
            if alert is None
            else _worsenings(found[-1], verdict.severity, moment.at),
        )
        alert = step.alert
        if alert is None:
            continue
        if step.reason is Reason.OPENED:
            found.append(_opened(moment, alert.severity))
        elif step.reason is Reason.WORSENED:
            worse = NoticeSent(at=moment.at, severity=alert.severity, reason=Reason.WORSENED)
            found[-1] = replace(found[-1], notices=(*found[-1].notices, worse))
        if alert.closed_at is not None:
            if found[-1].ending is Ending.STILL_OPEN:
                found[-1] = replace(found[-1], ending=Ending.RECOVERED, ended_at=moment.at)
            alert = None
    return tuple(found[1:] if read_before and found and found[0].opened_at == first else found)


def _flaps(found: Sequence[Episode], at: datetime) -> int:
    """Return how often it has opened recently, including now."""
    lately = takewhile(lambda episode: at - episode.opened_at <= FLAPPING_WITHIN, reversed(found))
    return 1 + sum(1 for _ in lately)


def _worsenings(episode: Episode, severity: Severity, at: datetime) -> int:
    """Return how often it has worsened to `severity` recently, including now."""
    return 1 + sum(
        notice.reason is Reason.WORSENED and notice.severity is severity and at - notice.at <= FLAPPING_WITHIN
        for notice in episode.notices
    )


def _opened(moment: Moment, severity: Severity) -> Episode:
    notice = NoticeSent(at=moment.at, severity=severity, reason=Reason.OPENED)
    if moment.reading == 0:
        return Episode(notices=(notice,), ending=Ending.RAN_OUT, ended_at=moment.at)
    return Episode(notices=(notice,), ending=Ending.STILL_OPEN, ended_at=None)


def _continued(episode: Episode, moment: Moment) -> Episode:
    """Return the episode after a further moment; the first event after its opening ends it."""
    if episode.ending is not Ending.STILL_OPEN:
        return episode
    if moment.topped_up:
        return replace(episode, ending=Ending.TOPPED_UP, ended_at=moment.at)
    if moment.reading == 0:
        return replace(episode, ending=Ending.RAN_OUT, ended_at=moment.at)
    return episode
