"""The answers of commands with `--json` and of the API: each shape is declared once, here, and made by one function.

The API's description is made from these classes. Ids are text; instants are whole seconds of UTC.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import Connection

from balancebot.domain.alert import Alert, AlertKind, Cause, Reason
from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, account_of, app_of
from balancebot.domain.message import AlertMessage, MutedCounts
from balancebot.domain.next_reading import ReadReason
from balancebot.domain.silence import Silence
from balancebot.domain.threshold import Off, ThresholdRow
from balancebot.domain.usage import HOURS_PER_DAY
from balancebot.domain.verdict import Severity
from balancebot.estimates.context import ContextReader
from balancebot.forecast.backtest import Ending, Episode
from balancebot.i18n import Wording
from balancebot.overview.balances import BalanceView
from balancebot.store import alerts, notification_history
from balancebot.thresholds.preview import Effect, PastEffects, PresentEffects

Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
BalanceState: TypeAlias = Literal["known", "unallocated", "unread"]
_SEVERITIES = [level.word for level in Severity]
SeverityWord: TypeAlias = Annotated[
    str, Meta(pattern=f"^(?:{'|'.join(_SEVERITIES)})$", extra_json_schema={"enum": _SEVERITIES})
]
NextCursor: TypeAlias = Annotated[
    str | UnsetType | None, Meta(description="the cursor of the next page; null: this is the last page")
]
OffOrCount: TypeAlias = int | Literal["off"] | None
OffOrDays: TypeAlias = float | Literal["off"] | None


def instant(at: datetime) -> datetime:
    """Return an instant for answers: whole seconds, in UTC."""
    return at.astimezone(UTC).replace(microsecond=0)


def instant_or_none(at: datetime | None) -> datetime | None:
    """Return an instant for answers; None stays None."""
    return None if at is None else instant(at)


class RunwayAnswer(Struct, frozen=True, kw_only=True):
    """A runway in days; null is beyond 365 days."""

    p10: float | None
    p50: float | None
    p90: float | None
    judged: Annotated[float | None, Meta(description="the value that is compared with limits in days")]


class LimitsAnswer(Struct, frozen=True, kw_only=True):
    """The effective limits of a balance; null is off or not set."""

    warning_below: int | None
    critical_below: int | None
    warning_days: float | None
    critical_days: float | None


class BalanceAnswer(Struct, frozen=True, kw_only=True):
    """One balance with its present state."""

    wallet: str
    category: Category
    state: BalanceState
    balance: Annotated[int | None, Meta(description="messages left; null unless `state` is `known`")]
    observed_at: Instant | None
    stale: Annotated[bool, Meta(description="whether the reading is older than `stale_after`")]
    next_read_at: Instant | None
    next_read_reason: Annotated[
        ReadReason | None,
        Meta(description="why at that time; null: something other than a reading made it due"),
    ]
    next_read_category: Annotated[
        Category | None, Meta(description="the balance of the wallet that decides when it is read next")
    ]
    burn_per_day: Annotated[float | None, Meta(description="expected usage of the next 24 hours")]
    usual_burn_per_day: float | None
    not_counted: Annotated[int, Meta(description="messages of a burst that the usage leaves out")]
    runway_days: Annotated[RunwayAnswer | None, Meta(description="null: unknown")]
    depletes_at: Instant | None
    severity: SeverityWord
    limits: LimitsAnswer
    alert: Annotated[str | None, Meta(description="the id of its open `low_balance`")]
    movable: Annotated[int, Meta(description="messages that the account's shared pool can give")]
    spike: Annotated[str | None, Meta(description="the id of its open `burn_spike`")]
    wallet_alert: Annotated[str | None, Meta(description="the id of the open alert of its wallet")]
    stopped: Annotated[
        bool, Meta(description="whether its usage stopped in hours in which there always is some")
    ]


class BalancesAnswer(Struct, frozen=True, kw_only=True):
    """The balances with their present state."""

    as_of: Instant
    balances: list[BalanceAnswer]
    muted: Annotated[MutedCounts, Meta(description="open alerts that are muted, by cause")]
    next_cursor: NextCursor = UNSET


def balances_answer(
    conn: Connection, views: Sequence[BalanceView], *, figures: ContextReader, as_of: datetime
) -> BalancesAnswer:
    """Return the answer of `status --json` for `views`."""
    movable = movable_to(conn, [view.key for view in views], figures=figures, now=as_of)
    return BalancesAnswer(
        as_of=instant(as_of),
        balances=[balance_answer(view, movable=movable.get(view.key, 0)) for view in views],
        muted=alerts.muted_counts(conn),
    )


def movable_to(
    conn: Connection, keys: Iterable[BalanceKey], *, figures: ContextReader, now: datetime
) -> Mapping[BalanceKey, int]:
    """Return how much the shared pool can give to each app's balance."""
    of_apps = [key for key in keys if app_of(key.wallet) is not None]
    accounts = {account_of(key.wallet) for key in of_apps}
    spare = figures.movable(conn, accounts, now=now) if accounts else {}
    return {key: spare.get((account_of(key.wallet), key.category), 0) for key in of_apps}


def balance_answer(view: BalanceView, *, movable: int) -> BalanceAnswer:
    """Return one balance; `movable` is how much the shared pool can give to it."""
    limits, runway = view.effective.limits, view.estimate.runway

    def days(hours: float) -> float | None:
        return hours / HOURS_PER_DAY if math.isfinite(hours) else None

    return BalanceAnswer(
        wallet=view.key.wallet,
        category=view.key.category,
        state=balance_state(view.reading),
        balance=view.reading if isinstance(view.reading, int) else None,
        observed_at=instant_or_none(view.observed_at),
        stale=view.is_stale,
        next_read_at=None if view.next_reading is None else instant(view.next_reading.at),
        next_read_reason=None if view.next_reading is None else view.next_reading.reason,
        next_read_category=None if view.next_reading is None else view.next_reading.category,
        burn_per_day=view.estimate.burn_per_day,
        usual_burn_per_day=view.estimate.usual_burn_per_day,
        not_counted=view.estimate.not_counted,
        runway_days=None
        if runway is None
        else RunwayAnswer(
            p10=days(runway.p10), p50=days(runway.p50), p90=days(runway.p90), judged=days(runway.judged)
        ),
        depletes_at=instant_or_none(view.depletes_at),
        severity=view.severity.word,
        limits=LimitsAnswer(
            warning_below=limits.warning_below,
            critical_below=limits.critical_below,
            warning_days=limits.warning_days,
            critical_days=limits.critical_days,
        ),
        alert=view.alert_id,
        movable=movable,
        spike=view.spike_id,
        wallet_alert=view.wallet_alert_id,
        stopped=view.stopped,
    )


def balance_state(reading: Reading) -> BalanceState:
    """Return whether there is a number, or why not."""
    match reading:
        case Absent.UNALLOCATED:
            return "unallocated"
        case Absent.UNREAD:
            return "unread"
        case int():
            return "known"


class AlertAnswer(Struct, frozen=True, kw_only=True):
    """One alert."""

    id: str
    kind: AlertKind
    wallet: str
    category: Annotated[Category | None, Meta(description="null if the alert is about the whole wallet")]
    severity: Annotated[
        SeverityWord, Meta(description="for a closed alert, the worst severity that was sent")
    ]
    opened_at: Instant
    closed_at: Instant | UnsetType | None = UNSET
    closed_because: Cause | None
    acknowledged_by: str | None
    expected_top_up_at: Instant | None
    silenced_until: Instant | None
    escalated_at: Annotated[Instant | None, Meta(description="when it was last escalated")]
    flapping: bool
    reason: Annotated[str, Meta(description="the limit crossed, or what is wrong, in words")]


class AlertsAnswer(Struct, frozen=True, kw_only=True):
    """Alerts, the newest first."""

    alerts: list[AlertAnswer]
    next_cursor: NextCursor = UNSET


def with_causes(conn: Connection, found: Collection[AlertMessage]) -> list[tuple[AlertMessage, AlertMessage]]:
    """Return each alert with the message that says why it is or was open; the message of its end doesn't say why."""
    silent = [last.alert.id for last in found if not last.has_reason and last.alert.id is not None]
    causes = notification_history.causes(conn, silent)
    return [(last, causes.get(last.alert.id or 0, last)) for last in found]


def alert_answer(
    last: AlertMessage, cause: AlertMessage, words: Wording, *, closed: bool = False
) -> AlertAnswer:
    """Return one alert, with `closed_at` if `closed` alerts are listed too; see `with_causes`."""
    alert = last.alert
    return AlertAnswer(
        id=str(alert.id),
        kind=alert.subject.kind,
        wallet=alert.subject.wallet,
        category=alert.subject.category,
        severity=alert_severity(alert).word,
        opened_at=instant(alert.opened_at),
        closed_at=instant_or_none(alert.closed_at) if closed else UNSET,
        closed_because=alert.closed_because,
        acknowledged_by=alert.acknowledged_by or None,
        expected_top_up_at=instant_or_none(alert.expects_by),
        silenced_until=instant_or_none(cause.context.silenced_until) if alert.muted else None,
        escalated_at=instant_or_none(alert.escalated_at),
        flapping=alert.is_flapping,
        reason=words.why(cause),
    )


def alert_severity(alert: Alert) -> Severity:
    """Return the present severity; for a closed alert, the worst one that was sent or muted."""
    return alert.severity if alert.closed_at is None else alert.peak or alert.muted_from or alert.severity


class SilenceAnswer(Struct, frozen=True, kw_only=True):
    """One silence."""

    id: str
    pattern: str
    begins_at: Instant
    until: Instant
    reason: str
    created_by: str
    ended_at: Annotated[Instant | None, Meta(description="when it was ended early, before `until`")]


class SilencesAnswer(Struct, frozen=True, kw_only=True):
    """Silences."""

    silences: list[SilenceAnswer]
    next_cursor: NextCursor = UNSET


def silence_answer(silence: Silence) -> SilenceAnswer:
    """Return one silence."""
    return SilenceAnswer(
        id=str(silence.id),
        pattern=silence.pattern.text,
        begins_at=instant(silence.begins_at),
        until=instant(silence.until),
        reason=silence.reason,
        created_by=silence.created_by,
        ended_at=instant_or_none(silence.ended_at),
    )


class ThresholdAnswer(Struct, frozen=True, kw_only=True):
    """The row of one scope; a null limit is inherited, `off` is no limit."""

    wallet: Annotated[str, Meta(description="a name, or a pattern of names")]
    category: Annotated[str, Meta(description="a category, or `*` for all")]
    warning_below: OffOrCount
    critical_below: OffOrCount
    warning_days: OffOrDays
    critical_days: OffOrDays
    lead_time_days: float | None
    note: str
    updated_at: Instant | None
    updated_by: str | None
    warnings: Annotated[list[str] | UnsetType, Meta(description="warnings about a change")] = UNSET


class ThresholdsAnswer(Struct, frozen=True, kw_only=True):
    """The rows that are set, by wallet and category."""

    thresholds: list[ThresholdAnswer]
    next_cursor: NextCursor = UNSET


def threshold_answer(row: ThresholdRow, warnings: list[str] | UnsetType = UNSET) -> ThresholdAnswer:
    """Return one row."""
    return ThresholdAnswer(
        wallet=row.wallet,
        category=row.category or "*",
        warning_below="off" if isinstance(row.warning_below, Off) else row.warning_below,
        critical_below="off" if isinstance(row.critical_below, Off) else row.critical_below,
        warning_days="off" if isinstance(row.warning_days, Off) else row.warning_days,
        critical_days="off" if isinstance(row.critical_days, Off) else row.critical_days,
        lead_time_days=row.lead_time_days,
        note=row.note,
        updated_at=instant_or_none(row.updated_at),
        updated_by=row.updated_by or None,
        warnings=warnings,
    )


class EffectAnswer(Struct, frozen=True, kw_only=True):
    """The present effect of a change of limits on one balance."""

    wallet: str
    category: Category
    effect: Effect
    before: SeverityWord
    after: SeverityWord


class NoticeAnswer(Struct, frozen=True, kw_only=True):
    """One message that would have been sent."""

    at: Instant
    severity: SeverityWord
    reason: Reason


class EpisodeAnswer(Struct, frozen=True, kw_only=True):
    """One alert that there would have been."""

    told: list[NoticeAnswer]
    ending: Ending
    ended_at: Instant | None
    notice_seconds: Annotated[
        float | None,
        Meta(description="how long before the balance ran out or was topped up the alert was sent"),
    ]


class ComparisonAnswer(Struct, frozen=True, kw_only=True):
    """One balance in the last 30 days, with the limits of the request and with the present ones."""

    wallet: str
    category: Category
    since: Instant
    with_these: list[EpisodeAnswer]
    with_todays: list[EpisodeAnswer]


class PreviewAnswer(Struct, frozen=True, kw_only=True):
    """The effects of other limits, now and in the last 30 days."""

    balances_changed: int
    now: list[EffectAnswer]
    last_30_days: list[ComparisonAnswer]


def preview_answer(ahead: PresentEffects, back: PastEffects) -> PreviewAnswer:
    """Return the answer of `thresholds preview --json`."""
    return PreviewAnswer(
        balances_changed=ahead.num_moved,
        now=[
            EffectAnswer(
                wallet=shift.balance.wallet,
                category=shift.balance.category,
                effect=shift.effect,
                before=shift.before.word,
                after=shift.after.word,
            )
            for shift in ahead.shifts
        ],
        last_30_days=[
            ComparisonAnswer(
                wallet=comparison.balance.wallet,
                category=comparison.balance.category,
                since=instant(comparison.since),
                with_these=[_episode(episode) for episode in comparison.after],
                with_todays=[_episode(episode) for episode in comparison.before],
            )
            for comparison in back.comparisons
        ],
    )


def _episode(episode: Episode) -> EpisodeAnswer:
    return EpisodeAnswer(
        told=[
            NoticeAnswer(at=instant(notice.at), severity=notice.severity.word, reason=notice.reason)
            for notice in episode.notices
        ],
        ending=episode.ending,
        ended_at=instant_or_none(episode.ended_at),
        notice_seconds=None if episode.notice is None else episode.notice.total_seconds(),
    )
