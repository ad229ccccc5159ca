"""What was told of one alert: each notification with its deliveries, and what every attempt came to."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from balancebot.domain.alert import Reason
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.notification import Action, AlertFacts, Channel
from balancebot.domain.verdict import Severity
from balancebot.storage import facts_codec
from balancebot.storage.chunks import chunked
from balancebot.storage.tables import attempts, deliveries, notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a delivery."""

    at: datetime
    outcome: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldDelivery:
    """One notification on its way to one destination, as it stands."""

    id: str
    channel: Channel
    destination: str
    action: Action
    state: DeliveryState
    in_doubt: bool
    settled_at: datetime | None
    next_attempt_at: datetime
    is_carried: bool
    """SUPERSEDED by another delivery that tells it too; else there was nothing left to tell."""
    error_message: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One notification: what was true when it was decided, and who was to hear of it."""

    at: datetime
    reason: Reason | None
    """None: only the look of standing messages changed."""
    facts: AlertFacts
    deliveries: tuple[ToldDelivery, ...] = field(default=())


def causes(conn: Connection, alert_ids: Collection[int]) -> dict[int, AlertFacts]:
    """Return what was last told of each alert that says what was wrong; what was never told is left out."""
    found: dict[int, AlertFacts] = {}
    for chunk in chunked(alert_ids):
        told = conn.execute(
            select(notifications.c.alert_id, notifications.c.facts)
            .where(notifications.c.alert_id.in_(chunk))
            .order_by(notifications.c.id)
        )
        for row in told:
            facts = facts_codec.decode(row.facts)
            if isinstance(facts, AlertFacts) and facts.says_why and not facts.is_held:
                found[row.alert_id] = facts
    return found


def num_worsened(conn: Connection, alert_id: int, severity: Severity, *, since: datetime) -> int:
    """Return how often an alert was told as having worsened to `severity` since an instant."""
    told = conn.execute(
        select(notifications.c.facts).where(
            notifications.c.alert_id == alert_id,
            notifications.c.reason == Reason.WORSENED.value,
            notifications.c.created_at >= since,
        )
    )
    found = (facts_codec.decode(text) for (text,) in told)
    return sum(isinstance(facts, AlertFacts) and facts.severity is severity for facts in found)


def of_alert(conn: Connection, alert_id: int) -> tuple[Chapter, ...]:
    """Return the story of an alert, the latest first."""
    told = conn.execute(
        select(notifications).where(notifications.c.alert_id == alert_id).order_by(notifications.c.id.desc())
    ).all()
    sent = conn.execute(
        select(deliveries)
        .where(deliveries.c.alert_id == alert_id)
        .order_by(deliveries.c.channel, deliveries.c.destination, deliveries.c.action)
    ).all()
    tried: dict[str, list[Attempt]] = {row.id: [] for row in sent}
    for row in conn.execute(
        select(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.alert_id == alert_id)
        .order_by(attempts.c.id)
    ):
        tried[row.delivery_id].append(Attempt(at=row.at, outcome=row.outcome, message=row.message))
    parcels: dict[int, list[ToldDelivery]] = {}
    for row in sent:
        parcels.setdefault(row.notification_id, []).append(
            ToldDelivery(
                id=row.id,
                channel=Channel(row.channel),
                destination=row.destination,
                action=Action(row.action),
                state=DeliveryState(row.state),
                in_doubt=row.in_doubt,
                settled_at=row.settled_at,
                next_attempt_at=row.next_attempt_at,
                is_carried=row.superseded_by is not None,
                error_message=row.error_message or "",
                attempts=tuple(tried[row.id]),
            )
        )
    return tuple(
        Chapter(
            at=row.created_at,
            reason=None if row.reason is None else Reason(row.reason),
            facts=facts,
            deliveries=tuple(parcels.get(row.id, ())),
        )
        for row in told
        if isinstance(facts := facts_codec.decode(row.facts), AlertFacts)
    )
