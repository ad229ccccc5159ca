"""An alert: one episode of a balance or a wallet; its state, and what a verdict, a person or time does to it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity, Verdict


class AlertKind(StrEnum):
    """What an alert is about. LOW_BALANCE and BURN_SPIKE concern a balance, the others a wallet."""

    LOW_BALANCE = "low_balance"
    BURN_SPIKE = "burn_spike"
    CREDENTIALS_REJECTED = "credentials_rejected"
    STALE = "stale"


class Reason(StrEnum):
    """Why a message is sent."""

    OPENED = "opened"
    WORSENED = "worsened"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    """Nobody has acknowledged it in time: further destinations are notified."""
    TOPPED_UP = "topped_up"
    """An expected top-up has arrived, and it isn't enough."""
    RECOVERED = "recovered"
    """It ended well: the balance rose past its limits, the wallet can be read again."""
    CLOSED = "closed"
    """It ended for another cause."""


ENDINGS = frozenset({Reason.RECOVERED, Reason.CLOSED})


class Cause(StrEnum):
    """Why an alert closed."""

    ROSE = "rose"
    """The balance (or its runway) passed every limit by the margin."""
    LIMIT_CHANGED = "limit_changed"
    UNALLOCATED = "unallocated"
    WALLET_REMOVED = "wallet_removed"
    READ_AGAIN = "read_again"
    """An alert of a wallet: the wallet could be read."""
    CREDENTIALS_INSTEAD = "credentials_instead"
    """A `stale` alert: the API answers again, but rejects the credentials, which has its own alert."""
    USE_NORMAL = "use_normal"
    """A usage spike has ended."""
    USE_STAYS_HIGH = "use_stays_high"
    """A usage spike has become the usual usage."""
    WRONG_READING = "wrong_reading"
    """The reading that opened it was wrong: the next one took it back."""
    LOW_BALANCE_INSTEAD = "low_balance_instead"
    """A usage spike whose balance became critical: the low-balance alert covers it."""


RECOVERIES = frozenset({Cause.ROSE, Cause.READ_AGAIN, Cause.USE_NORMAL})
"""Causes of a recovery; for any other an alert is closed."""
NO_LIMITS = Limits()
FLAPS = 3
"""An alert flaps if it opens, or worsens to the same severity, this often within `FLAPPING_WITHIN`. Twice isn't flapping:
that may be two purchases."""
FLAPPING_WITHIN = timedelta(hours=24)
CALM_FOR = timedelta(hours=1)
"""How long a flapping balance must stay well before it counts as recovered. Each further opening adds the same time, so
that even slow flapping ends in silence."""
_CLOCK_SET_BACK = timedelta(minutes=1)
"""A stored instant further in the future than this was written before the clock was set back."""
_CLOCK_IS_WRONG = timedelta(days=365)
"""If a stored instant is further in the future than this, the clock is wrong: the machine doesn't know the time yet."""
SPIKE_SETTLES = timedelta(minutes=65)
"""How long a usage spike covers a limit in days after its last reading: until the hour has closed, the estimate doesn't
know that it has ended."""
FOR_GOOD = frozenset({Cause.LIMIT_CHANGED, Cause.UNALLOCATED, Cause.WALLET_REMOVED})
"""Causes by a person's action, which don't flap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSubject:
    """What an alert is about. At most one alert per subject is open."""

    kind: AlertKind
    wallet: WalletName
    category: Category | None = None

    @property
    def balance(self) -> BalanceKey | None:
        """The balance that it is about; None if it is about a wallet."""
        return None if self.category is None else BalanceKey(self.wallet, self.category)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalated:
    """One escalation of an alert. Each rule escalates it once per peak."""

    rule: str
    """The name of the `Escalation`."""
    peak: Severity
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One episode, from the first bad verdict to recovery."""

    id: int | None = None
    """None until it is stored."""
    subject: AlertSubject
    severity: Severity
    peak: Severity | None
    """The worst severity that was notified; None until the first notification."""
    opened_at: datetime
    closed_at: datetime | None = None
    closed_because: Cause | None = None
    opened_by_days: bool = False
    """Whether a runway limit was ever crossed in this episode: then an unknown runway doesn't end it."""
    limits: Limits = NO_LIMITS
    """The limits of the last verdict."""
    told_at: datetime | None = None
    """When the last OPENED, WORSENED or REMINDER was decided."""
    raised_at: datetime | None = None
    """When its peak was notified, or an ordered top-up became overdue: the time for escalation counts from here."""
    escalated: tuple[Escalated, ...] = ()
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_note: str = ""
    flaps: int = 1
    """How often it has opened, or worsened to the same severity, within `FLAPPING_WITHIN`, including this time."""
    calm_since: datetime | None = None
    """Flapping: since when it has been past all its limits continuously."""
    eased_since: datetime | None = None
    """Flapping: since when it has been past the limits of its peak continuously."""
    covered_until: datetime | None = None
    """LOW_BALANCE: a usage spike covers its limit in days, and nothing is sent below depleted, until a reading after it."""
    relapses: int = 0
    """Flapping: how often it fell below its limits again after it had passed them. These weren't notified."""
    expects_by: datetime | None = None
    """Acknowledged with "top-up ordered": a reminder is sent if the alert is still open then."""
    muted_from: Severity | None = None
    """The severity when its silence began, or when it opened during the silence; None = not muted."""
    mute_lifted: bool = False
    """It became worse than `muted_from`: the silence no longer applies to it."""
    fault: str = ""
    """STALE: the fault that its wallets share."""
    members: tuple[WalletName, ...] = ()
    """STALE of an account: the wallets that can't be read."""

    @property
    def has_recovered(self) -> bool:
        """Whether it ended by a recovery, not for another cause."""
        return self.closed_because in RECOVERIES

    def has_escalated(self, rule: str) -> bool:
        """Return whether it has escalated by `rule` at its present peak."""
        return any((done.rule, done.peak) == (rule, self.peak) for done in self.escalated)

    @property
    def escalated_at(self) -> datetime | None:
        """When it last escalated."""
        return max((done.at for done in self.escalated), default=None)

    @property
    def muted(self) -> bool:
        """Whether a silence applies to it."""
        return self.muted_from is not None and not self.mute_lifted

    @property
    def is_flapping(self) -> bool:
        """Whether it flaps: then an improvement counts only after it has lasted for `calm_for`."""
        return self.flaps >= FLAPS

    @property
    def calm_for(self) -> timedelta:
        """How long it must stay well before it recovers; zero if it doesn't flap."""
        return CALM_FOR * max(0, self.flaps - FLAPS + 1)

    @property
    def well_at(self) -> datetime | None:
        """When it recovers if it stays well; None = it isn't well now."""
        return None if self.calm_since is None else self.calm_since + self.calm_for


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTopUp:
    """A top-up that was ordered and didn't arrive by the expected time."""

    by: str
    expected_by: datetime
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What one verdict, or the passing of time, did to an alert.

    `alert` is the new state (with `closed_at` set if it closed), None if there is no alert. `reason` None: no message is
    sent. `edit`: existing messages must be edited.
    """

    alert: Alert | None
    reason: Reason | None = None
    edit: bool = False
    previous_peak: Severity | None = None
    """WORSENED: the peak before."""
    missed_top_up: ExpectedTopUp | None = None
    """REMINDER: its cause, if that is a missed top-up."""
    arrived: int = 0
    """TOPPED_UP: how many messages arrived."""
    has_waited: bool = False
    """OPENED: quiet hours delayed it, maybe with others."""


NOTHING = Transition(alert=None)


def advance(
    alert: Alert | None,
    verdict: Verdict,
    *,
    subject: AlertSubject,
    now: datetime,
    silenced: bool,
    quiet_below: Severity | None = None,
    limits: Limits = NO_LIMITS,
    cause: Cause = Cause.ROSE,
    flaps: int = 1,
) -> Transition:
    """Apply one verdict.

    `silenced`: a silence matches the subject now. Notifications below `quiet_below` wait for the end of quiet hours.
    `cause` is recorded if the verdict closes the alert. `flaps` is how often it has opened (or worsened to this severity)
    within `FLAPPING_WITHIN`, including this time if it does so now.
    """
    if alert is None:
        if verdict.severity <= Severity.OK:
            return NOTHING
        is_sent = not silenced and not _waits(verdict.severity, quiet_below)
        opened = Alert(
            subject=subject,
            severity=verdict.severity,
            peak=verdict.severity if is_sent else None,
            opened_at=now,
            opened_by_days=verdict.by_days,
            limits=limits,
            told_at=now if is_sent else None,
            raised_at=now if is_sent else None,
            muted_from=verdict.severity if silenced else None,
            flaps=flaps,
        )
        return Transition(alert=opened, reason=Reason.OPENED if is_sent else None)
    if verdict.severity is Severity.UNKNOWN:
        return Transition(alert=alert)
    was_calm = alert.calm_since is not None
    alert = _with_calm_times(alert, verdict, now)
    waits = alert.well_at is not None and now < alert.well_at and cause not in FOR_GOOD
    if verdict.recovered and not waits:
        return close(alert, now=now, silenced=silenced, quiet_below=quiet_below, cause=cause)
    if verdict.severity is Severity.OK:
        # during a silence the peak is kept: if it worsens again, that was notified before
        is_muted = silenced and not alert.mute_lifted
        recovering = alert if is_muted else _recovering(alert, verdict, now)
        changed = was_calm is not waits or recovering.severity is not alert.severity
        return Transition(alert=recovering, edit=changed and recovering.peak is not None)
    muted_from = (alert.severity if alert.muted_from is None else alert.muted_from) if silenced else None
    judged = replace(
        alert,
        severity=verdict.severity,
        opened_by_days=alert.opened_by_days or verdict.by_days,
        limits=limits,
        muted_from=muted_from,
        mute_lifted=muted_from is not None and (alert.mute_lifted or verdict.severity > muted_from),
    )
    changed = was_calm or (judged.severity, judged.muted) != (alert.severity, alert.muted)
    if judged.muted:
        return Transition(alert=judged, edit=changed and judged.peak is not None)
    if _must_be_notified(judged) and not _waits(judged.severity, quiet_below):
        has_waited = alert.muted_from is None
        return _notify(replace(judged, flaps=max(judged.flaps, flaps)), now=now, has_waited=has_waited)
    if _has_left_its_peak(judged, verdict, now):
        judged = replace(judged, peak=judged.severity, eased_since=None)
    return Transition(alert=judged, edit=changed and judged.peak is not None)


def close(
    alert: Alert, *, now: datetime, silenced: bool, quiet_below: Severity | None = None, cause: Cause
) -> Transition:
    """End the episode. If it was never notified, its end isn't either; during a silence only existing messages are edited.

    Quiet hours apply to the worst severity that was notified: people who got a critical alert learn that it has ended.
    """
    closed = replace(alert, severity=Severity.OK, closed_at=now, closed_because=cause)
    if alert.peak is None:
        return Transition(alert=closed)
    muted = (silenced and not alert.mute_lifted) or _waits(max(alert.severity, alert.peak), quiet_below)
    reason = Reason.RECOVERED if closed.has_recovered else Reason.CLOSED
    return Transition(alert=closed, reason=None if muted else reason, edit=True)


def pass_time(
    alert: Alert,
    *,
    now: datetime,
    silenced: bool,
    quiet_below: Severity | None = None,
    remind_every: timedelta,
) -> Transition:
    """Apply what the passing of time causes: the end of a silence or of quiet hours, a reminder, an overdue top-up.

    `remind_every` of zero means never. Several missed reminders become one. A flapping alert that is well now sends none.
    """
    edit, has_waited = False, alert.muted_from is None
    alert = replace(alert, raised_at=_not_ahead(alert.raised_at, now), told_at=_not_ahead(alert.told_at, now))
    if alert.muted_from is not None and not silenced:
        alert = replace(alert, muted_from=None, mute_lifted=False)
        edit = alert.peak is not None
    if is_muted(alert, silenced=silenced, quiet_below=quiet_below):
        return Transition(alert=alert, edit=edit)
    if _must_be_notified(alert):
        return _notify(alert, now=now, has_waited=has_waited)
    missed = _missed_top_up(alert, now)
    if missed is not None:
        alert = replace(_unacknowledged(alert), raised_at=now)
    due = (
        remind_every > timedelta(0)
        and alert.acknowledged_at is None
        and alert.told_at is not None
        and now >= alert.told_at + remind_every
    )
    if missed is not None or due:
        return Transition(
            alert=replace(alert, told_at=now), reason=Reason.REMINDER, edit=True, missed_top_up=missed
        )
    return Transition(alert=alert, edit=edit)


def was_ahead(at: datetime, now: datetime) -> bool:
    """Return whether `at`, which should be in the past, was written while the clock was ahead."""
    return _CLOCK_SET_BACK < at - now < _CLOCK_IS_WRONG


def _not_ahead(at: datetime | None, now: datetime) -> datetime | None:
    return now if at is not None and was_ahead(at, now) else at


def is_muted(alert: Alert, *, silenced: bool, quiet_below: Severity | None) -> bool:
    """Return whether the passing of time sends nothing: because of a silence, of quiet hours, or as it flaps and is well."""
    in_silence = silenced and not alert.mute_lifted
    return alert.calm_since is not None or in_silence or _waits(alert.severity, quiet_below)


def acknowledge(
    alert: Alert, *, by: str, note: str, now: datetime, expects_by: datetime | None = None
) -> Alert:
    """Record that a person has seen the alert: reminders stop until it worsens, or until `expects_by`."""
    return replace(
        alert, acknowledged_at=now, acknowledged_by=by, acknowledged_note=note, expects_by=expects_by
    )


def top_up(alert: Alert, messages: int, *, silenced: bool, quiet_below: Severity | None = None) -> Transition:
    """Apply that an expected top-up of `messages` has arrived while the alert stays open.

    A message is sent where the alert was notified, except during a silence or quiet hours. Nothing else changes.
    """
    if alert.peak is None or is_muted(alert, silenced=silenced, quiet_below=quiet_below):
        return Transition(alert=alert)
    return Transition(alert=alert, reason=Reason.TOPPED_UP, edit=True, arrived=messages)


def covered_until(
    alert: Alert | None,
    spike: Alert | None,
    verdict: Verdict,
    *,
    now: datetime,
    usual_days: float | None,
    opens_spike: bool = False,
) -> datetime | None:
    """Return until when a usage spike covers a low balance: its message says how long the balance lasts at that rate.

    Then a runway limit needs no message of its own. A limit in messages, or an empty balance, does. An acknowledged spike
    doesn't cover that the balance is critical even at its usual usage, where it lasts for `usual_days`. `opens_spike`: this
    reading opens a spike, whose alert isn't in `spike` yet.
    """
    crossed = verdict.crossed
    if verdict.severity >= Severity.DEPLETED or crossed is None or not crossed.is_by_days:
        return None
    if spike is not None and spike.peak is not None:
        is_news = (
            spike.acknowledged_at is not None
            and verdict.severity is Severity.CRITICAL
            and usual_days is not None
            and usual_days < (crossed.limit or 0.0)
        )
        return None if is_news else now + SPIKE_SETTLES
    if opens_spike and verdict.severity is Severity.WARNING:
        return now + SPIKE_SETTLES
    before = None if alert is None else alert.covered_until
    return before if before is not None and now < before else None


def mute(alert: Alert) -> Alert:
    """Record that a silence begins now: it no longer applies if the alert becomes worse than it is now."""
    return replace(alert, muted_from=alert.severity, mute_lifted=False)


def _waits(severity: Severity, quiet_below: Severity | None) -> bool:
    return quiet_below is not None and severity < quiet_below


def _must_be_notified(alert: Alert) -> bool:
    """Whether the alert, or its present severity, hasn't been notified yet."""
    return alert.peak is None or alert.severity > alert.peak


def _notify(alert: Alert, *, now: datetime, has_waited: bool) -> Transition:
    """Send an alert for the first time, or that it is worse than was notified."""
    raised = replace(_unacknowledged(alert), peak=alert.severity, told_at=now, raised_at=now)
    if alert.peak is None:
        return Transition(alert=raised, reason=Reason.OPENED, has_waited=has_waited)
    return Transition(alert=raised, reason=Reason.WORSENED, edit=True, previous_peak=alert.peak)


def _with_calm_times(alert: Alert, verdict: Verdict, now: datetime) -> Alert:
    """Update since when a flapping alert has been well, or better than its peak. A clock set back doesn't delay it."""
    if not alert.is_flapping:
        return alert
    is_eased = alert.peak in verdict.past
    has_relapsed = alert.calm_since is not None and not verdict.recovered
    return replace(
        alert,
        calm_since=min(alert.calm_since or now, now) if verdict.recovered else None,
        eased_since=min(alert.eased_since or now, now) if is_eased else None,
        relapses=alert.relapses + has_relapsed,
    )


def _recovering(alert: Alert, verdict: Verdict, now: datetime) -> Alert:
    """Update an alert above all its limits, but within the recovery margin: past its peak's margin it is a warning."""
    if alert.peak is not None and alert.severity > alert.peak and alert.severity in verdict.past:
        # quiet hours delayed the notification that it was worse
        return replace(alert, severity=alert.peak)
    if alert.peak is Severity.WARNING or not _has_left_its_peak(alert, verdict, now):
        return alert
    return replace(alert, severity=Severity.WARNING, peak=Severity.WARNING, eased_since=None)


def _has_left_its_peak(alert: Alert, verdict: Verdict, now: datetime) -> bool:
    """Whether it is past the limits of its peak by the margin, and has been for `calm_for` if it flaps."""
    has_stayed = alert.eased_since is None or now - alert.eased_since >= alert.calm_for
    return alert.peak in verdict.past and has_stayed


def _missed_top_up(alert: Alert, now: datetime) -> ExpectedTopUp | None:
    if alert.expects_by is None or now < alert.expects_by:
        return None
    return ExpectedTopUp(by=alert.acknowledged_by, expected_by=alert.expects_by, note=alert.acknowledged_note)


def _unacknowledged(alert: Alert) -> Alert:
    return replace(alert, acknowledged_at=None, acknowledged_by="", acknowledged_note="", expects_by=None)
