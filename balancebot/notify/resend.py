"""What people do about deliveries: list those that wait or were given up, send one again, send a test. Acts are audited."""

from dataclasses import dataclass

from balancebot.domain.audit import Act, Actor
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.message import TestMessage
from balancebot.domain.routing import Destination
from balancebot.ports import Clock
from balancebot.store import audit, delivery_list, outbox
from balancebot.store.database import Database
from balancebot.store.delivery_list import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class OperateDeliveries:
    """The acts of people on deliveries."""

    database: Database
    clock: Clock

    def listed(self, *, every: bool = False, limit: int = 1000) -> tuple[Delivery, ...]:
        """Return the deliveries that wait or were given up, or with `every` all, the newest first."""
        with self.database.read() as conn:
            return delivery_list.listed(conn, every=every, limit=limit)

    def send_test(self, *destinations: Destination, by: Actor) -> tuple[str, ...]:
        """Enqueue a test message for each destination, like any other message; return the ids of the deliveries."""
        now = self.clock.now()
        with self.database.write() as conn:
            ids = outbox.enqueue_plain(conn, message=TestMessage(at=now), destinations=destinations, now=now)
            for destination in destinations:
                audit.record_change(conn, by, Act.SEND_TEST, " ".join(destination), now=now)
        return ids

    def end_test(self, delivery_id: str) -> Delivery | None:
        """Return the delivery of a test message. If it was tried and failed, it is given up."""
        with self.database.write() as conn:
            delivery = delivery_list.find(conn, delivery_id)
            if delivery is not None and delivery.state is DeliveryState.PENDING and delivery.num_attempts:
                delivery_list.give_up(conn, delivery_id, now=self.clock.now())
            return delivery

    def resend(self, delivery_id: str, *, by: Actor) -> DeliveryState | None:
        """Make a delivery due that waits or was given up; return its previous state, None if the id is unknown.

        A delivery that is being sent, was delivered or is carried by another isn't changed.
        """
        now = self.clock.now()
        with self.database.write() as conn:
            state = delivery_list.resend(conn, delivery_id, now=now)
            if state in {DeliveryState.GAVE_UP, DeliveryState.PENDING}:
                before, after = {"state": state.value}, {"state": DeliveryState.PENDING.value}
                audit.record_change(
                    conn, by, Act.RESEND, f"delivery {delivery_id}", before=before, after=after, now=now
                )
        return state
