"""An example of every message, as the outbox stores it."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from balancebot.domain.alert import AlertKind, Cause, Escalated, Reason
from balancebot.domain.balance import Absent, Category, WalletName
from balancebot.domain.message import (
    Action,
    AlertMessage,
    ChannelFailureMessage,
    DigestLine,
    DigestMessage,
    GroupMessage,
    Message,
    MessageRef,
    MutedCounts,
    OutgoingMessage,
    SilenceMessage,
    SpikeMeasurement,
    TestMessage,
)
from balancebot.domain.order import Order
from balancebot.domain.routing import Destination
from balancebot.domain.runway import OrderAdvice, PlannedUse, Runway
from balancebot.domain.sentence import Sentence, sentence, verbatim
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Crossed, Severity
from balancebot.jsms.answer import AnswerFault, EndpointKind, Reply, parse_answer
from balancebot.notify.slack.api import slack_error
from balancebot.ports import ChannelError
from tests.messages import alert_message, changed


def unreadable(wallet: str, fault: Sentence, *, quote: str = "") -> Sentence:
    """Return why a wallet can't be read."""
    placed = sentence("%(host)s: %(fault)s", host="api.sms.example.com", fault=fault)
    if quote:
        placed = sentence("%(fault)s (it said “%(quote)s”)", fault=placed, quote=quote)
    return sentence("%(wallet)s: %(fault)s", wallet=wallet, fault=placed)


def _failure(status: int, code: int) -> Sentence:
    body = json.dumps({"error": {"code": code, "message": ""}}).encode()
    fault = parse_answer(Reply(status=status, headers={}, body=body), EndpointKind.APP, now=NOW)
    assert isinstance(fault, AnswerFault)
    return fault.message


NOW = datetime(2026, 11, 24, 9, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

ADVICE = OrderAdvice(messages=30_000, order_by=NOW + 9 * HOUR, until=NOW + timedelta(days=30), confidence=0.9)
PLANNED = PlannedUse(messages=20_000, starts_at=NOW + 12 * HOUR, ends_at=NOW + 14 * HOUR, note="winter sale")

ENDLESS = Runway(p10=math.inf, p50=math.inf, p90=math.inf, judged=math.inf)

CRITICAL = alert_message(
    NOW,
    id=17,
    kind=AlertKind.LOW_BALANCE,
    wallet=WalletName("acme/checkout"),
    category=Category.INDUSTRY,
    severity=Severity.CRITICAL,
    reason=Reason.OPENED,
    reading=312,
    observed_at=NOW,
    crossed=Crossed(column=LimitColumn.CRITICAL_BELOW, limit=5000, value=312, scope="acme/*"),
    burn_per_day=834.2,
    runway=Runway(p10=6.2, p50=9.1, p90=14.3, judged=7.4),
    depletes_at=NOW + 9 * HOUR,
    recent=(9000, 8100, 7300, 6100, None, 4000, 3000, 2100, 1200, 312),
    note="Finance buys: tell the payments channel, the supplier needs two working days",
    advice=ADVICE,
    planned=(PLANNED,),
)
WARNING = changed(
    CRITICAL,
    severity=Severity.WARNING,
    reading=41_200,
    crossed=Crossed(column=LimitColumn.WARNING_DAYS, limit=7, value=5.8),
    burn_per_day=6_030.0,
    runway=Runway(p10=110, p50=164, p90=math.inf, judged=139.2),
    depletes_at=NOW + timedelta(hours=164),
    note="",
    advice=None,
    planned=(),
)
WORSENED = changed(CRITICAL, reason=Reason.WORSENED, previous_peak=Severity.WARNING, opened_at=NOW - 5 * HOUR)
ESCALATED = changed(
    CRITICAL,
    reason=Reason.ESCALATED,
    opened_at=NOW - 0.5 * HOUR,
    raised_at=NOW - 0.5 * HOUR,
    escalated=(Escalated(rule="acme/* critical 1800s", peak=Severity.CRITICAL, at=NOW),),
)
REMINDER = changed(CRITICAL, reason=Reason.REMINDER, opened_at=NOW - 24 * HOUR)
DEPLETED = changed(
    CRITICAL,
    severity=Severity.DEPLETED,
    reading=0,
    crossed=Crossed(column=LimitColumn.CRITICAL_BELOW, limit=5000, value=0, scope="acme/*"),
    runway=Runway(p10=0, p50=0, p90=0, judged=0),
    depletes_at=None,
)
RECOVERED = changed(
    CRITICAL,
    reason=Reason.RECOVERED,
    severity=Severity.OK,
    reading=52_000,
    runway=Runway(p10=800, p50=1400, p90=2000, judged=900),
    opened_at=NOW - 3 * HOUR,
    closed_at=NOW,
    closed_because=Cause.ROSE,
    depletes_at=NOW + timedelta(hours=1400),
)
ACKNOWLEDGED = changed(
    CRITICAL,
    reason=None,
    acknowledged_by="on-call",
    acknowledged_note="ordered 30,000",
    expects_by=NOW + 6 * HOUR,
    silenced_until=NOW + 4 * HOUR,
)
FLAPPING = changed(
    WARNING,
    reading=980,
    crossed=Crossed(column=LimitColumn.WARNING_BELOW, limit=1000, value=980, scope="acme/*"),
    flaps=3,
)
CALM = changed(
    FLAPPING,
    reason=None,
    reading=1_200,
    opened_at=NOW - 2 * HOUR,
    flaps=4,
    calm_since=NOW - HOUR / 3,
    relapses=2,
)
CALMED = changed(
    RECOVERED,
    peak=Severity.WARNING,
    flaps=3,
    calm_since=NOW - HOUR,
    relapses=7,
)
HELD = changed(
    WARNING,
    reason=None,
    reading=51_000,
    crossed=CRITICAL.measurement.crossed,
    short_of=((LimitColumn.WARNING_BELOW, 52_500.0),),
    burn_per_day=5_300.0,
    runway=Runway(p10=171, p50=231, p90=math.inf, judged=186),
    depletes_at=NOW + timedelta(hours=231),
    opened_at=NOW - 2 * HOUR,
)
SPIKE = changed(
    CRITICAL,
    kind=AlertKind.BURN_SPIKE,
    crossed=None,
    reading=40_000,
    spike=SpikeMeasurement(messages=1_900, expected=72.4, since=NOW - HOUR / 12, until=NOW),
    note="",
    advice=None,
    planned=(),
)
REJECTED = changed(
    CRITICAL,
    kind=AlertKind.CREDENTIALS_REJECTED,
    category=None,
    crossed=None,
    runway=None,
    burn_per_day=None,
    depletes_at=None,
    recent=(),
    reading=Absent.UNREAD,
    detail=unreadable("acme/checkout", _failure(401, 50002), quote="basic auth failed"),
    note="",
    advice=None,
    planned=(),
)
STALE = changed(
    REJECTED,
    kind=AlertKind.STALE,
    severity=Severity.WARNING,
    observed_at=NOW - HOUR / 2,
    detail=unreadable("acme/checkout", _failure(403, 50035)),
)
STALE_ACCOUNT = changed(
    STALE,
    wallet=WalletName("acme"),
    detail=unreadable("acme/app-000", sentence("no complete answer within %(seconds)s s", seconds="10")),
    members=tuple(f"acme/app-{number:03d}" for number in range(110)),
)
HOSTILE = changed(
    CRITICAL,
    wallet=WalletName("acme/<!channel> & *co*"),
    note='<!here> buy "now"\r\nBcc: everybody@example.com\n\n# not a header <script>alert(1)</script>',
    detail=verbatim("<@U024BE7LH> {{ 7 * 7 }}"),
)
LONGEST = changed(
    CRITICAL,
    wallet=WalletName(f"{'A' * 64}/{'检' * 64}"),
    note="检查余额并立即采购 " * 300,
    planned=(replace(PLANNED, note="Z" * 5000),) * 9,
    detail=verbatim("Y" * 5000),
)
GROUP = GroupMessage(
    group_id="g5",
    at=NOW,
    members=(
        changed(WARNING, id=1, wallet=WalletName("acme/campaigns"), category=Category.MARKET),
        changed(CRITICAL, id=2),
        changed(DEPLETED, id=3, wallet=WalletName("acme/login"), category=Category.VOICE),
        changed(REJECTED, id=4, wallet=WalletName("acme/legacy")),
        changed(RECOVERED, id=5, wallet=WalletName("acme/orders")),
        changed(ACKNOWLEDGED, id=6, wallet=WalletName("acme/reset")),
        changed(FLAPPING, id=7, wallet=WalletName("acme/codes")),
    ),
    new=("3", "4"),
)
STORM = GroupMessage(
    group_id="g120",
    at=NOW,
    members=tuple(
        changed(LONGEST, id=number, wallet=WalletName(f"{'A' * 64}/{'检' * 60}-{number:03d}"))
        for number in range(120)
    ),
)
_LINE = DigestLine(
    wallet=WalletName("acme/checkout"),
    category=Category.INDUSTRY,
    severity=Severity.CRITICAL,
    reading=312,
    observed_at=NOW,
    stale=False,
    burn_per_day=834.2,
    burn_week=834.2,
    burn_week_before=620.0,
    runway=CRITICAL.measurement.runway,
    depletes_at=CRITICAL.measurement.depletes_at,
    limits_set=True,
    severity_before=Severity.WARNING,
    used=5_800,
    advice=ADVICE,
    recent=CRITICAL.context.recent,
)
_WELL = replace(
    _LINE,
    severity=Severity.OK,
    severity_before=Severity.OK,
    advice=None,
    recent=(30_000, 28_000, 24_000, 22_000, 108_000, 104_000, 99_000, 97_000, 92_000, 88_000),
)
DIGEST = DigestMessage(
    name="weekday",
    slot="2026-11-24T09:00",
    at=NOW,
    since=NOW - 24 * HOUR,
    late=False,
    language="en",
    lines=(
        replace(
            _LINE,
            wallet=WalletName("acme/login"),
            category=Category.VOICE,
            severity=Severity.DEPLETED,
            reading=0,
            runway=DEPLETED.measurement.runway,
            severity_before=Severity.CRITICAL,
        ),
        _LINE,
        replace(
            _LINE,
            wallet=WalletName("acme/campaigns"),
            category=Category.MARKET,
            severity=Severity.WARNING,
            reading=41_200,
            burn_per_day=6_030.0,
            burn_week=6_030.0,
            burn_week_before=9_800.0,
            runway=WARNING.measurement.runway,
            severity_before=Severity.WARNING,
            advice=None,
        ),
        replace(
            _WELL,
            wallet=WalletName("acme"),
            reading=1_250_000,
            burn_per_day=0.0,
            burn_week=0.0,
            runway=ENDLESS,
            topped_up=500_000,
            transferred=-20_000,
        ),
        replace(
            _WELL,
            wallet=WalletName("acme/结算"),
            reading=88_000,
            runway=RECOVERED.measurement.runway,
            limits_set=False,
            transferred=20_000,
            stopped=True,
        ),
        replace(
            _WELL,
            wallet=WalletName("acme/reset"),
            severity=Severity.UNKNOWN,
            stale=True,
            observed_at=NOW - 3 * HOUR,
            runway=None,
            burn_per_day=None,
            severity_before=Severity.OK,
        ),
    ),
    open_alerts=(REMINDER, changed(REJECTED, wallet=WalletName("acme/legacy"))),
    recovered=(changed(RECOVERED, wallet=WalletName("acme/orders")),),
    muted=MutedCounts(
        silenced=1, acknowledged=2, grouped=40, spared_by_grouping=39, flapping=1, spared_by_flapping=14
    ),
    silences=(("acme/campaigns:*", NOW + 6 * HOUR, "the campaign is paid for by marketing"),),
    planned=((WalletName("acme/checkout"), Category.INDUSTRY, PLANNED),),
    orders=(
        Order(
            id="3",
            wallet=WalletName("acme"),
            category=Category.INDUSTRY,
            quantity=60_000,
            reference="PO 4711",
            ordered_at=NOW - 120 * HOUR,
            ordered_by="finance",
            expected_at=NOW - 24 * HOUR,
            arrived=20_000,
        ),
        Order(
            id="4",
            wallet=WalletName("acme/campaigns"),
            category=Category.MARKET,
            quantity=500_000,
            ordered_at=NOW - 24 * HOUR,
            ordered_by="ann",
            expected_at=NOW + 48 * HOUR,
        ),
    ),
)
TEST = TestMessage(at=NOW)
MUCH_SILENCED = SilenceMessage(
    at=NOW,
    silence_id=3,
    pattern="*",
    until=NOW + 240 * HOUR,
    reason="moving to the new gateway",
    created_by="ann (U024BE7LH)",
    num_wallets=1_204,
    num_urgent=2,
)
TROUBLE = ChannelFailureMessage(
    at=NOW,
    channel="slack",
    destination="#ops-alerts",
    message=slack_error("is_archived", where="#ops-alerts").message,
)


def outgoing(
    message: Message,
    *,
    action: Action = Action.POST,
    destination: str = "#ops-alerts",
    thread: MessageRef | None = None,
    broadcast: bool = False,
    delivery_id: str = "d1",
) -> OutgoingMessage:
    """Return a message that is being sent to Slack."""
    alert_id = (
        message.alert_id
        if isinstance(message, AlertMessage)
        else message.group_id
        if isinstance(message, GroupMessage)
        else ""
    )
    return OutgoingMessage(
        delivery_id=delivery_id,
        alert_id=alert_id,
        action=action,
        destination=Destination("slack", destination),
        message=message,
        thread=thread,
        broadcast=broadcast,
        created_at=NOW,
    )


def claim_is_held() -> bool:
    """Let a channel send: the delivery is still claimed."""
    return True


def claim_is_lost() -> bool:
    """Keep a channel from sending: another process has claimed the delivery."""
    return False


def ref_of(outcome: MessageRef | ChannelError) -> MessageRef:
    """Return the ref of a message that was sent; fail on an error."""
    assert isinstance(outcome, MessageRef), outcome
    return outcome
