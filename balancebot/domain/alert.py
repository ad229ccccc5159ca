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
    """Nobody has acknowledged it in time: others are told."""
    TOPPED_UP = "topped_up"
    """Quota that somebody waited for arrived, and it isn't enough."""
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
    """A wallet kind: it could be read."""
    CREDENTIALS_INSTEAD = "credentials_instead"
    """`stale` gave way: the wallet answers again, and rejects the credentials."""
    USE_NORMAL = "use_normal"
    """A burn spike is over."""
    LOW_BALANCE_INSTEAD = "low_balance_instead"
    """A burn spike whose balance has become critical is told in that alert."""


RECOVERIES = frozenset({Cause.ROSE, Cause.READ_AGAIN, Cause.USE_NORMAL})
"""Causes of a recovery; for any other an alert is closed."""
NO_LIMITS = Limits()
FLAPS = 3
"""What opens, or worsens to the same severity, so often within `FLAPPING_WITHIN` flaps: twice may be two purchases."""
FLAPPING_WITHIN = timedelta(hours=24)
CALM_FOR = timedelta(hours=1)
"""How long what flaps has to stay well; for each further opening so much longer, that it falls silent at any pace."""
_CLOCK_SET_BACK = timedelta(minutes=1)
"""What lies further ahead than this was written before the clock was set back."""
_CLOCK_IS_WRONG = timedelta(days=365)
"""What lies further ahead than this is right, and the clock isn't: a machine that doesn't know the time yet."""
FOR_GOOD = frozenset({Cause.LIMIT_CHANGED, Cause.UNALLOCATED, Cause.WALLET_REMOVED})
"""Causes that can't come and go: what a person did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSubject:
    """What an alert is about: at most one is open of each."""

    kind: AlertKind
    wallet: WalletName
    category: Category | None = None

    @property
    def balance(self) -> BalanceKey | None:
        """The balance that it is about; None where it is about a wallet."""
        return None if self.category is None else BalanceKey(self.wallet, self.category)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalated:
    """That an alert has escalated: once by each rule and at each peak."""

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
    """The worst severity told; None while nothing has been told of it."""
    opened_at: datetime
    closed_at: datetime | None = None
    closed_because: Cause | None = None
    opened_by_days: bool = False
    """Whether a runway limit was ever among those crossed: then an unknown runway doesn't recover it."""
    limits: Limits = NO_LIMITS
    """By which it was judged last."""
    told_at: datetime | None = None
    """The last OPENED, WORSENED or REMINDER."""
    raised_at: datetime | None = None
    """When its peak was told, or a top-up that had been ordered was overdue: it escalates from here on."""
    escalated: tuple[Escalated, ...] = ()
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_note: str = ""
    flaps: int = 1
    """How often it has opened, or worsened to one severity, within `FLAPPING_WITHIN`, this time included."""
    calm_since: datetime | None = None
    """Flapping: since when it has been past all its limits without a break."""
    eased_since: datetime | None = None
    """Flapping: since when it has been past the limits of its peak without a break."""
    relapses: int = 0
    """Flapping: how often it fell back after it had been past its limits. Nobody was told of these."""
    expects_by: datetime | None = None
    """Acknowledged with "top-up ordered": it speaks again if it is still open then."""
    muted_from: Severity | None = None
    """The severity it had when its silence began, or at which it opened inside it; None = not muted."""
    mute_lifted: bool = False
    """It rose above `muted_from`: the silence no longer holds for it."""
    fault: str = ""
    """STALE: what its wallets share."""
    members: tuple[WalletName, ...] = ()
    """STALE of an account: the wallets that can't be read."""

    @property
    def has_recovered(self) -> bool:
        """Whether it ended well, and not for another cause."""
        return self.closed_because in RECOVERIES

    def has_escalated(self, rule: str) -> bool:
        """Tell whether it has escalated by `rule` at its present peak."""
        return any((done.rule, done.peak) == (rule, self.peak) for done in self.escalated)

    @property
    def escalated_at(self) -> datetime | None:
        """When it last escalated."""
        return max((done.at for done in self.escalated), default=None)

    @property
    def muted(self) -> bool:
        """Whether a silence holds for it."""
        return self.muted_from is not None and not self.mute_lifted

    @property
    def is_flapping(self) -> bool:
        """Whether it counts as better only once it has stayed so for `calm_for`."""
        return self.flaps >= FLAPS

    @property
    def calm_for(self) -> timedelta:
        """How long it has to stay well before it is told as recovered; nothing unless it flaps."""
        return CALM_FOR * max(0, self.flaps - FLAPS + 1)

    @property
    def well_at(self) -> datetime | None:
        """When it is told as recovered if it stays well; None = it isn't well now."""
        return None if self.calm_since is None else self.calm_since + self.calm_for


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTopUp:
    """A top-up that somebody had ordered, and that didn't come by the time they said."""

    by: str
    expected_by: datetime
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What one verdict, or the passing of time, did to an alert.

    `alert` is the state after it (with `closed_at` set if it closed), None where there is none. `reason` None:
    nothing is told; `edit` says that messages which stand must change their look.
    """

    alert: Alert | None
    reason: Reason | None = None
    edit: bool = False
    previous_peak: Severity | None = None
    """WORSENED: the peak before."""
    missed_top_up: ExpectedTopUp | None = None
    """REMINDER: because of this."""
    arrived: int = 0
    """TOPPED_UP: so many messages."""
    has_waited: bool = False
    """OPENED: quiet hours held it back, maybe with others."""


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

    `silenced` tells whether a silence matches the subject now; news below `quiet_below` waits for the end of quiet hours.
    `cause` is named if the verdict closes the alert. `flaps` tells how often it has opened (or worsened to this severity)
    within `FLAPPING_WITHIN` if it does so now.
    """
    if alert is None:
        if verdict.severity <= Severity.OK:
            return NOTHING
        is_told = not silenced and not _waits(verdict.severity, quiet_below)
        opened = Alert(
            subject=subject,
            severity=verdict.severity,
            peak=verdict.severity if is_told else None,
            opened_at=now,
            opened_by_days=verdict.by_days,
            limits=limits,
            told_at=now if is_told else None,
            raised_at=now if is_told else None,
            muted_from=verdict.severity if silenced else None,
            flaps=flaps,
        )
        return Transition(alert=opened, reason=Reason.OPENED if is_told else None)
    if verdict.severity is Severity.UNKNOWN:
        return Transition(alert=alert)
    was_calm = alert.calm_since is not None
    alert = _watched(alert, verdict, now)
    waits = alert.well_at is not None and now < alert.well_at and cause not in FOR_GOOD
    if verdict.recovered and not waits:
        return close(alert, now=now, silenced=silenced, quiet_below=quiet_below, cause=cause)
    if verdict.severity is Severity.OK:
        # inside a silence the peak stays: what rises again there was told before
        is_muted = silenced and not alert.mute_lifted
        held = alert if is_muted else _held_by_the_margin(alert, verdict, now)
        changed = was_calm is not waits or held.severity is not alert.severity
        return Transition(alert=held, edit=changed and held.peak is not None)
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
    if _is_untold(judged) and not _waits(judged.severity, quiet_below):
        has_waited = alert.muted_from is None
        return _tell(replace(judged, flaps=max(judged.flaps, flaps)), now=now, has_waited=has_waited)
    if _has_left_its_peak(judged, verdict, now):
        judged = replace(judged, peak=judged.severity, eased_since=None)
    return Transition(alert=judged, edit=changed and judged.peak is not None)


def close(
    alert: Alert, *, now: datetime, silenced: bool, quiet_below: Severity | None = None, cause: Cause
) -> Transition:
    """End the episode. What was never told isn't told now; inside a silence only standing messages change.

    So in quiet hours, by the worst that was told: people who were told of something critical are told that it is over.
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
    """Apply what the clock alone can cause: the end of a silence or of quiet hours, a reminder, an overdue top-up.

    `remind_every` of zero means never. Missed reminders merge into one. What flaps and is well now says nothing.
    """
    edit, has_waited = False, alert.muted_from is None
    alert = replace(alert, raised_at=_not_ahead(alert.raised_at, now), told_at=_not_ahead(alert.told_at, now))
    if alert.muted_from is not None and not silenced:
        alert = replace(alert, muted_from=None, mute_lifted=False)
        edit = alert.peak is not None
    if is_muted(alert, silenced=silenced, quiet_below=quiet_below):
        return Transition(alert=alert, edit=edit)
    if _is_untold(alert):
        return _tell(alert, now=now, has_waited=has_waited)
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
    """Tell whether an instant of the past was written while the clock was ahead."""
    return _CLOCK_SET_BACK < at - now < _CLOCK_IS_WRONG


def _not_ahead(at: datetime | None, now: datetime) -> datetime | None:
    return now if at is not None and was_ahead(at, now) else at


def is_muted(alert: Alert, *, silenced: bool, quiet_below: Severity | None) -> bool:
    """Tell whether the clock alone sends nothing of an open alert: a silence, quiet hours, or it flaps and is well."""
    in_silence = silenced and not alert.mute_lifted
    return alert.calm_since is not None or in_silence or _waits(alert.severity, quiet_below)


def acknowledge(
    alert: Alert, *, by: str, note: str, now: datetime, expects_by: datetime | None = None
) -> Alert:
    """Record that a person has seen it: reminders stop until it worsens, or until `expects_by`."""
    return replace(
        alert, acknowledged_at=now, acknowledged_by=by, acknowledged_note=note, expects_by=expects_by
    )


def top_up(alert: Alert, messages: int, *, silenced: bool, quiet_below: Severity | None = None) -> Transition:
    """Apply that quota which somebody waits for has arrived, and the alert is open all the same.

    It is told where the alert was; it changes nothing else, and in a silence or quiet hours it is told to nobody.
    """
    is_told = alert.peak is not None and not is_muted(alert, silenced=silenced, quiet_below=quiet_below)
    if not is_told:
        return Transition(alert=alert)
    return Transition(alert=alert, reason=Reason.TOPPED_UP, edit=True, arrived=messages)


def mute(alert: Alert) -> Alert:
    """Record that a silence begins now: it lifts if the alert rises above its present severity."""
    return replace(alert, muted_from=alert.severity, mute_lifted=False)


def _waits(severity: Severity, quiet_below: Severity | None) -> bool:
    return quiet_below is not None and severity < quiet_below


def _is_untold(alert: Alert) -> bool:
    """Whether nobody has been told of it, or that it is as bad as it is."""
    return alert.peak is None or alert.severity > alert.peak


def _tell(alert: Alert, *, now: datetime, has_waited: bool) -> Transition:
    """Tell an alert for the first time, or that it is worse than was told."""
    news = replace(_unacknowledged(alert), peak=alert.severity, told_at=now, raised_at=now)
    if alert.peak is None:
        return Transition(alert=news, reason=Reason.OPENED, has_waited=has_waited)
    return Transition(alert=news, reason=Reason.WORSENED, edit=True, previous_peak=alert.peak)


def _watched(alert: Alert, verdict: Verdict, now: datetime) -> Alert:
    """Note of what flaps since when it has been well, or better than its peak; a clock set back makes it wait no longer."""
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


def _held_by_the_margin(alert: Alert, verdict: Verdict, now: datetime) -> Alert:
    """Above every limit, and open only by the margin: once what was worse is left behind, it is a warning's margin."""
    if alert.peak is not None and alert.severity > alert.peak and alert.severity in verdict.past:
        # quiet hours held back that it was worse
        return replace(alert, severity=alert.peak)
    if alert.peak is Severity.WARNING or not _has_left_its_peak(alert, verdict, now):
        return alert
    return replace(alert, severity=Severity.WARNING, peak=Severity.WARNING, eased_since=None)


def _has_left_its_peak(alert: Alert, verdict: Verdict, now: datetime) -> bool:
    """Whether it is past the limits of its peak by the margin; what flaps, for a while."""
    has_stayed = alert.eased_since is None or now - alert.eased_since >= alert.calm_for
    return alert.peak in verdict.past and has_stayed


def _missed_top_up(alert: Alert, now: datetime) -> ExpectedTopUp | None:
    if alert.expects_by is None or now < alert.expects_by:
        return None
    return ExpectedTopUp(by=alert.acknowledged_by, expected_by=alert.expects_by, note=alert.acknowledged_note)


def _unacknowledged(alert: Alert) -> Alert:
    return replace(alert, acknowledged_at=None, acknowledged_by="", acknowledged_note="", expects_by=None)
