"""`why`: explains a balance or a wallet, from the database alone."""

from collections.abc import Mapping
from typing import Annotated

import typer
from msgspec import to_builtins

from balancebot.answers import balance_answer, movable_to
from balancebot.cli.context import CommandContext, RefusedError, command_group, context_of
from balancebot.cli.output import bold, faint, json_instant, show, show_json
from balancebot.cli.status import figures_of
from balancebot.clock import SystemClock
from balancebot.domain.balance import BalanceKey
from balancebot.domain.sentence import Sentence
from balancebot.domain.threshold import ThresholdBook
from balancebot.explain.explain import AlertExplanation, BalanceExplanation, Explanation, explain, read_target
from balancebot.explain.render import Face, render
from balancebot.i18n import Wording
from balancebot.store import thresholds
from balancebot.store.notification_history import DeliveryRecord, NotificationRecord

commands = command_group()


@commands.command(no_args_is_help=True)
def why(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(metavar="BALANCE", help="such as acme/checkout:industry; without :CATEGORY a wallet"),
    ],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Explain a balance: how it is judged, who was notified, when it alerts next."""
    command = context_of(context)
    explanation = _explained(command, target)
    if as_json:
        keys = [explained.view.key for explained in explanation.balances]
        with command.database.read() as conn:
            movable = movable_to(conn, keys, figures=figures_of(command.settings), now=explanation.at)
        show_json(_as_json(explanation, movable))
        return
    words = Wording(zone=command.settings.timezone)
    show(render(explanation, words, Face.TEXT, bold=bold, faint=faint))
    show(faint(f"\nas of {words.local(explanation.at):%Y-%m-%d %H:%M:%S} {words.zone_name}"))


def _explained(command: CommandContext, target: str) -> Explanation:
    with command.database.read() as conn:
        asked = read_target(conn, target, configured=command.settings.wallets)
        if isinstance(asked, Sentence):
            raise RefusedError(f"BALANCE {asked}")
        return explain(
            conn,
            *asked,
            settings=command.settings,
            book=ThresholdBook(thresholds.load(conn)),
            figures=figures_of(command.settings),
            now=SystemClock().now(),
        )


def _as_json(explanation: Explanation, movable: Mapping[BalanceKey, int]) -> dict[str, object]:
    row = explanation.row
    return {
        "as_of": json_instant(explanation.at),
        "wallet": explanation.wallet,
        "category": explanation.category,
        "configured": explanation.is_configured,
        "observed_at": None if row is None else json_instant(row.observed_at),
        "attempted_at": None if row is None else json_instant(row.attempted_at),
        "error": str(row.error_message) if row is not None and row.error_kind is not None else None,
        "suspect_since": None if row is None else json_instant(row.suspect_since),
        "next_read_at": None if row is None else json_instant(row.next_reading.at),
        "next_read_reason": None if row is None else row.next_reading.reason,
        "next_read_category": None if row is None else row.next_reading.category,
        "alerts": [_alert(explained) for explained in explanation.alerts],
        "balances": [
            _balance(explained, movable.get(explained.view.key, 0)) for explained in explanation.balances
        ],
    }


def _balance(explained: BalanceExplanation, movable: int) -> dict[str, object]:
    answer: dict[str, object] = to_builtins(balance_answer(explained.view, movable=movable))
    return answer | {
        "origins": {
            check.column: "built in" if check.origin is None else str(check.origin)
            for check in explained.limits
            if check.limit is not None or check.origin is not None
        },
        "crossed": [check.column for check in explained.limits if check.is_crossed],
        "alerts": [_alert(alert) for alert in explained.alerts],
        "silences": [
            {
                "id": str(silence.id),
                "pattern": str(silence.pattern),
                "until": json_instant(silence.until),
                "reason": silence.reason,
                "created_by": silence.created_by,
            }
            for silence in explained.silences
        ],
        "listeners": [
            {"channel": channel, "destination": destination}
            for channel, destination in explained.destinations
        ],
        "outlook": [
            {
                "kind": prediction.kind,
                "at": json_instant(prediction.at),
                "severity": None if prediction.severity is None else prediction.severity.word,
                "limit": None if prediction.column is None else {prediction.column: prediction.limit},
                "reaches": dict(prediction.bars) or None,
            }
            for prediction in explained.outlook
        ],
    }


def _alert(explained: AlertExplanation) -> dict[str, object]:
    alert = explained.alert
    return {
        "id": str(alert.id),
        "kind": alert.subject.kind,
        "severity": alert.severity.word,
        "peak": None if alert.peak is None else alert.peak.word,
        "opened_at": json_instant(alert.opened_at),
        "acknowledged_at": json_instant(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by or None,
        "note": alert.acknowledged_note or None,
        "expects_by": json_instant(alert.expects_by),
        "muted": alert.muted,
        "waits_until": json_instant(explained.waits_until),
        "escalated_at": json_instant(alert.escalated_at),
        "escalates": [
            {
                "at": json_instant(at),
                "destinations": [
                    {"channel": channel, "destination": destination} for channel, destination in destinations
                ],
            }
            for at, destinations in explained.escalates
        ],
        "flapping": alert.is_flapping,
        "calm_since": json_instant(alert.calm_since),
        "relapses": alert.relapses,
        "detail": str(explained.message.measurement.detail) or None,
        "told": [_notification(notification) for notification in explained.notifications],
    }


def _notification(notification: NotificationRecord) -> dict[str, object]:
    return {
        "at": json_instant(notification.at),
        "reason": notification.reason,
        "severity": notification.message.alert.severity.word,
        "deliveries": [_delivery(delivery) for delivery in notification.deliveries],
    }


def _delivery(delivery: DeliveryRecord) -> dict[str, object]:
    return {
        "channel": delivery.channel,
        "destination": delivery.destination,
        "action": delivery.action,
        "state": delivery.state,
        "in_doubt": delivery.in_doubt,
        "settled_at": json_instant(delivery.settled_at),
        "next_attempt_at": None if delivery.settled_at else json_instant(delivery.next_attempt_at),
        "error": str(delivery.error_message) or None,
        "attempts": [
            {
                "at": json_instant(attempt.at),
                "outcome": attempt.outcome,
                "message": str(attempt.message),
            }
            for attempt in delivery.attempts
        ],
    }
