"""The life of an alert: state, verdict and `now` in; the next state and a reason to speak out.

Only what is above its peak is news. A silence mutes what is told, never the state. No data changes nothing. What opens
again and again flaps: it counts as better only once it has stayed so for a while.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from balancebot.domain.alert import FOR_GOOD, NO_LIMITS, Alert, Cause, Promise, Reason, Step, Subject
from balancebot.domain.threshold import Limits
from balancebot.domain.verdict import Severity, Verdict

NOTHING = Step(alert=None)


def advance(
    alert: Alert | None,
    verdict: Verdict,
    *,
    subject: Subject,
    now: datetime,
    silenced: bool,
    limits: Limits = NO_LIMITS,
    cause: Cause = Cause.ROSE,
    flaps: int = 1,
) -> Step:
    """Apply one verdict.

    `silenced` tells whether a silence matches the subject now. `cause` is named if the verdict closes the alert.
    `flaps` tells how often it has opened (or worsened to this severity) within `FLAPPING_WITHIN` if it does so now.
    """
    if alert is None:
        if verdict.severity <= Severity.OK:
            return NOTHING
        opened = Alert(
            subject=subject,
            severity=verdict.severity,
            peak=None if silenced else verdict.severity,
            opened_at=now,
            opened_by_days=verdict.by_days,
            limits=limits,
            told_at=None if silenced else now,
            muted_from=verdict.severity if silenced else None,
            flaps=flaps,
        )
        return Step(alert=opened, reason=None if silenced else Reason.OPENED)
    if verdict.severity is Severity.UNKNOWN:
        return Step(alert=alert)
    was_calm = alert.calm_since is not None
    alert = _watched(alert, verdict, now)
    waits = alert.well_at is not None and now < alert.well_at and cause not in FOR_GOOD
    if verdict.recovered and not waits:
        return close(alert, now=now, silenced=silenced, cause=cause)
    if verdict.severity is Severity.OK:
        # inside a silence the peak stays: what rises again there was told before
        is_muted = silenced and not alert.mute_lifted
        held = alert if is_muted else _held_by_the_margin(alert, verdict, now)
        changed = was_calm is not waits or held.severity is not alert.severity
        return Step(alert=held, edit=changed and held.peak is not None)
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
        return Step(alert=judged, edit=changed and judged.peak is not None)
    if judged.peak is None or judged.severity > judged.peak:
        return _tell(replace(judged, flaps=max(judged.flaps, flaps)), now=now)
    if _has_left_its_peak(judged, verdict, now):
        judged = replace(judged, peak=judged.severity, eased_since=None)
    return Step(alert=judged, edit=changed)


def close(alert: Alert, *, now: datetime, silenced: bool, cause: Cause) -> Step:
    """End the episode. What was never told isn't told now; inside a silence only standing messages change."""
    closed = replace(alert, severity=Severity.OK, closed_at=now)
    if alert.peak is None:
        return Step(alert=closed, cause=cause)
    muted = silenced and not alert.mute_lifted
    return Step(
        alert=closed,
        reason=None if muted else Reason.RECOVERED,
        edit=True,
        cause=cause,
        previous=alert.peak,
    )


def pass_time(alert: Alert, *, now: datetime, silenced: bool, remind_every: timedelta) -> Step:
    """Apply what the clock alone can cause: a silence that ended, a reminder, an expected top-up that didn't come.

    `remind_every` of zero means never. Missed reminders merge into one. What flaps and is well now says nothing.
    """
    edit = False
    if alert.muted_from is not None and not silenced:
        alert = replace(alert, muted_from=None, mute_lifted=False)
        edit = alert.peak is not None
    if alert.calm_since is not None or (silenced and not alert.mute_lifted):
        return Step(alert=alert, edit=edit)
    if alert.peak is None:
        return _tell(alert, now=now)
    broken = _broken_promise(alert, now)
    if broken is not None:
        alert = _unacknowledged(alert)
    due = (
        remind_every > timedelta(0)
        and alert.acknowledged_at is None
        and alert.told_at is not None
        and now >= alert.told_at + remind_every
    )
    if broken is not None or due:
        return Step(alert=replace(alert, told_at=now), reason=Reason.REMINDER, edit=True, broken=broken)
    return Step(alert=alert, edit=edit)


def acknowledge(
    alert: Alert, *, by: str, note: str, now: datetime, expects_by: datetime | None = None
) -> Alert:
    """Record that a person has seen it: reminders stop until it worsens, or until `expects_by`."""
    return replace(
        alert, acknowledged_at=now, acknowledged_by=by, acknowledged_note=note, expects_by=expects_by
    )


def mute(alert: Alert) -> Alert:
    """Record that a silence begins now: it lifts if the alert rises above its present severity."""
    return replace(alert, muted_from=alert.severity, mute_lifted=False)


def _tell(alert: Alert, *, now: datetime) -> Step:
    """Tell an alert for the first time, or that it is worse than was told."""
    news = replace(_unacknowledged(alert), peak=alert.severity, told_at=now)
    if alert.peak is None:
        return Step(alert=news, reason=Reason.OPENED)
    return Step(alert=news, reason=Reason.WORSENED, edit=True, previous=alert.peak)


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
    if alert.peak is Severity.WARNING or not _has_left_its_peak(alert, verdict, now):
        return alert
    return replace(alert, severity=Severity.WARNING, peak=Severity.WARNING, eased_since=None)


def _has_left_its_peak(alert: Alert, verdict: Verdict, now: datetime) -> bool:
    """Whether it is past the limits of its peak by the margin; what flaps, for a while."""
    has_stayed = alert.eased_since is None or now - alert.eased_since >= alert.calm_for
    return alert.peak in verdict.past and has_stayed


def _broken_promise(alert: Alert, now: datetime) -> Promise | None:
    if alert.expects_by is None or now < alert.expects_by:
        return None
    return Promise(by=alert.acknowledged_by, expected_by=alert.expects_by, note=alert.acknowledged_note)


def _unacknowledged(alert: Alert) -> Alert:
    return replace(alert, acknowledged_at=None, acknowledged_by="", acknowledged_note="", expects_by=None)
