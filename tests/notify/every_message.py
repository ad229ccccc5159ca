"""Every message that the product can send; each has a golden file in each language."""

import math
from dataclasses import replace

from balancebot.domain.alert import RECOVERIES, AlertKind, Cause, ExpectedTopUp, Reason
from balancebot.domain.balance import Absent, Category, WalletName
from balancebot.domain.message import (
    NOTHING_MUTED,
    AlertMessage,
    GroupMessage,
    Message,
    SpikeMeasurement,
)
from balancebot.domain.runway import Runway
from balancebot.domain.sentence import sentence
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Crossed, Severity
from tests.messages import changed
from tests.notify.examples import (
    ACKNOWLEDGED,
    ADVICE,
    CALM,
    CALMED,
    CRITICAL,
    DEPLETED,
    DIGEST,
    ENDLESS,
    ESCALATED,
    FLAPPING,
    GROUP,
    HELD,
    HOSTILE,
    HOUR,
    LONGEST,
    MUCH_SILENCED,
    NOW,
    RECOVERED,
    REJECTED,
    REMINDER,
    SPIKE,
    STALE,
    STALE_ACCOUNT,
    STORM,
    TEST,
    TROUBLE,
    WARNING,
    WORSENED,
)


def _ended(message: AlertMessage, cause: Cause) -> AlertMessage:
    return changed(
        message,
        reason=Reason.RECOVERED if cause in RECOVERIES else Reason.CLOSED,
        peak=message.alert.severity,
        severity=Severity.OK,
        opened_at=NOW - 3 * HOUR,
        closed_at=NOW,
        closed_because=cause,
    )


def _reminded(message: AlertMessage) -> AlertMessage:
    return changed(message, reason=Reason.REMINDER, opened_at=NOW - 24 * HOUR)


_FIFTY = GroupMessage(
    group_id="g50",
    at=NOW,
    members=tuple(
        changed(
            (CRITICAL, WARNING, DEPLETED)[number % 3],
            id=number,
            wallet=WalletName(f"acme/app-{number:03d}"),
            category=tuple(Category)[number % 4],
        )
        for number in range(50)
    ),
)
_LOW: dict[str, Message] = {
    "critical": CRITICAL,
    "warning": WARNING,
    "depleted": DEPLETED,
    "depleted_universal": changed(DEPLETED, category=Category.UNIVERSAL, note="", advice=None, planned=()),
    "last_one": changed(
        CRITICAL,
        reading=1,
        crossed=Crossed(column=LimitColumn.CRITICAL_BELOW, limit=5000, value=1, scope="acme/*"),
        advice=replace(ADVICE, order_by=NOW),
    ),
    "unknown_runway": changed(
        WARNING,
        crossed=Crossed(column=LimitColumn.WARNING_BELOW, limit=50_000, value=41_200),
        burn_per_day=None,
        runway=None,
        depletes_at=None,
        recent=(41_200,),
    ),
    "no_end_in_sight": changed(
        WARNING,
        crossed=Crossed(column=LimitColumn.WARNING_BELOW, limit=50_000, value=41_200),
        burn_per_day=0.0,
        runway=ENDLESS,
        depletes_at=None,
    ),
    "worsened": WORSENED,
    "worsened_to_depleted": changed(
        DEPLETED, reason=Reason.WORSENED, previous_peak=Severity.CRITICAL, opened_at=NOW - 5 * HOUR
    ),
    "reminder": REMINDER,
    "reminder_of_warning": _reminded(WARNING),
    "escalated": ESCALATED,
    "escalated_before": changed(ESCALATED, reason=None),
    "top_up_overdue": changed(
        REMINDER,
        missed_top_up=ExpectedTopUp(
            by="on-call (U024BE7LH)", expected_by=NOW - HOUR / 2, note="order 4711, 30,000"
        ),
    ),
    "topped_up": changed(
        CRITICAL,
        reason=Reason.TOPPED_UP,
        arrived=60_000,
        reading=60_312,
        crossed=Crossed(column=LimitColumn.CRITICAL_DAYS, limit=3, value=0.3, scope="acme/*"),
        burn_per_day=167_000.0,
        opened_at=NOW - 5 * HOUR,
    ),
    "recovered": RECOVERED,
    "limit_changed": changed(_ended(CRITICAL, Cause.LIMIT_CHANGED), crossed=None),
    "unallocated": changed(
        _ended(CRITICAL, Cause.UNALLOCATED), reading=Absent.UNALLOCATED, runway=None, burn_per_day=None
    ),
    "wallet_removed": _ended(CRITICAL, Cause.WALLET_REMOVED),
    "wrong_reading": changed(
        RECOVERED, reason=Reason.CLOSED, closed_because=Cause.WRONG_READING, opened_at=NOW - HOUR / 12
    ),
    "empty_pool": changed(
        DEPLETED, wallet=WalletName("acme"), note="", advice=None, planned=(), burn_per_day=None, runway=None
    ),
    "unheard": changed(RECOVERED, opening_undelivered=True),
    "acknowledged": changed(
        CRITICAL, reason=None, acknowledged_by="on-call", acknowledged_note="looking at it"
    ),
    "top_up_ordered": changed(ACKNOWLEDGED, silenced_until=None),
    "silenced": changed(CRITICAL, reason=None, silenced_until=NOW + 4 * HOUR),
    "acknowledged_and_silenced": ACKNOWLEDGED,
    "flapping": FLAPPING,
    "calm": CALM,
    "calmed": CALMED,
    "held_by_the_margin": HELD,
    "held_reminder": _reminded(HELD),
    "held_by_days_too": changed(
        HELD,
        short_of=((LimitColumn.WARNING_BELOW, 52_500.0), (LimitColumn.WARNING_DAYS, 7.35)),
        runway=Runway(p10=162, p50=231, p90=math.inf, judged=171),
    ),
    "eased": changed(WARNING, reason=None, note=CRITICAL.context.note),
}
_SPIKES: dict[str, Message] = {
    "spike": SPIKE,
    "spike_from_nothing": changed(
        SPIKE,
        spike=SpikeMeasurement(messages=1_900, expected=0.02, since=NOW - HOUR / 12, until=NOW),
        runway=None,
        depletes_at=None,
    ),
    "spike_to_nothing": changed(SPIKE, reading=0, runway=DEPLETED.measurement.runway, depletes_at=NOW),
    "spike_reminder": _reminded(SPIKE),
    "spike_recovered": _ended(SPIKE, Cause.USE_NORMAL),
    "spike_became_usual": _ended(SPIKE, Cause.USE_STAYS_HIGH),
    "spike_told_in_the_low_balance": _ended(SPIKE, Cause.LOW_BALANCE_INSTEAD),
    "drained": changed(
        CRITICAL, note="", planned=(), spike=SPIKE.measurement.spike, advice=SPIKE.context.advice
    ),
    "drained_worsened": changed(
        WORSENED, note="", planned=(), spike=SPIKE.measurement.spike, advice=SPIKE.context.advice
    ),
    "drained_to_nothing": changed(
        DEPLETED, note="", planned=(), spike=SPIKE.measurement.spike, advice=SPIKE.context.advice
    ),
    "spike_unheard": changed(_ended(SPIKE, Cause.USE_NORMAL), opening_undelivered=True),
}
_WALLETS: dict[str, Message] = {
    "rejected": REJECTED,
    "rejected_reminder": _reminded(REJECTED),
    "rejected_recovered": _ended(REJECTED, Cause.READ_AGAIN),
    "stale": STALE,
    "stale_never_read": changed(STALE, observed_at=None),
    "stale_reminder": _reminded(STALE),
    "stale_recovered": _ended(STALE, Cause.READ_AGAIN),
    "stale_unheard": changed(_ended(STALE, Cause.READ_AGAIN), opening_undelivered=True),
    "stale_credentials": _ended(STALE, Cause.CREDENTIALS_INSTEAD),
    "stale_account": STALE_ACCOUNT,
    "stale_account_recovered": _ended(STALE_ACCOUNT, Cause.READ_AGAIN),
}
_GROUPS: dict[str, Message] = {
    "group": replace(GROUP, new=()),
    "group_joined": GROUP,
    "group_escalated": GroupMessage(
        group_id="g8",
        at=NOW,
        members=(ESCALATED, changed(ESCALATED, id=18, wallet=WalletName("acme/login"))),
    ),
    "group_recovered": replace(
        GROUP,
        members=tuple(
            member
            if not member.is_open
            else _ended(
                member, Cause.ROSE if member.alert.subject.kind is AlertKind.LOW_BALANCE else Cause.READ_AGAIN
            )
            for member in GROUP.members
        ),
        new=(),
    ),
    "group_of_fifty": _FIFTY,
    "group_seen_to": replace(
        _FIFTY,
        members=tuple(
            changed(member, acknowledged_by="on-call (U024BE7LH)", silenced_until=NOW + 4 * HOUR)
            for member in _FIFTY.members
        ),
    ),
    "storm": STORM,
}
_WELL = tuple(
    replace(line, severity=Severity.OK, severity_before=Severity.OK, advice=None, reading=90_000)
    for line in DIGEST.lines
    if line.severity is not Severity.UNKNOWN
)
_DIGESTS: dict[str, Message] = {
    "digest": DIGEST,
    "digest_late": replace(DIGEST, late=True, at=NOW + 5 * HOUR),
    "digest_first": replace(
        DIGEST, since=None, lines=tuple(replace(line, severity_before=None) for line in DIGEST.lines)
    ),
    "digest_all_well": replace(
        DIGEST, lines=_WELL, open_alerts=(), recovered=(), silences=(), muted=NOTHING_MUTED
    ),
    "digest_unknown": replace(
        DIGEST,
        since=None,
        lines=tuple(
            replace(line, severity=Severity.UNKNOWN, severity_before=None, stale=True, reading=reading)  # type: ignore[arg-type] # one of the three below
            for line, reading in zip(DIGEST.lines[:3], (312, 41_200, Absent.UNREAD), strict=True)
        ),
        open_alerts=(STALE,),
        muted=NOTHING_MUTED,
    ),
    "digest_of_many": replace(
        DIGEST,
        lines=tuple(
            replace(
                line,
                wallet=WalletName(f"{'A' * 60}-{number:03d}/{'检' * 60}-{number:03d}"),
                limits_set=False,
                stopped=True,
                topped_up=500_000,
            )
            for number, line in enumerate(sorted(DIGEST.lines * 40, key=lambda line: -line.severity))
        ),
    ),
}
ALL_MESSAGES: dict[str, Message] = {
    **_LOW,
    **_SPIKES,
    **_WALLETS,
    "hostile": HOSTILE,
    "longest": LONGEST,
    **_GROUPS,
    **_DIGESTS,
    "test": TEST,
    "trouble": TROUBLE,
    "silence": MUCH_SILENCED,
    "silence_again": replace(MUCH_SILENCED, is_repeated=True, num_urgent=0, reason=""),
    "trouble_with_mail": replace(
        TROUBLE,
        channel="email",
        destination="finance@example.com",
        message=sentence(
            "the mail server refuses %(address)s: %(said)s",
            address="finance@example.com",
            said="550 5.1.1 user unknown",
        ),
    ),
}
