"""People see pending and given up deliveries and send them again; a delivered message is never sent twice."""

from balancebot.domain.audit import Act, Actor, Via
from balancebot.domain.delivery import GIVE_UP_ATTEMPTS, DeliveryState
from balancebot.notify.resend import OperateDeliveries
from balancebot.ports import ChannelErrorKind
from balancebot.store import audit
from tests.outbox_bench import Bench, fails

ADA = Actor(name="ada", via=Via.CLI)


def operating(bench: Bench) -> OperateDeliveries:
    return OperateDeliveries(database=bench.database, clock=bench.clock)


def given_up(bench: Bench) -> str:
    """Let an opening fail until it is given up; return the id of its delivery."""
    bench.slack.refuse = {f"{bench.open()}": ChannelErrorKind.SERVER}
    for _ in range(GIVE_UP_ATTEMPTS + 1):
        bench.run(minutes=30)
    bench.slack.refuse = {}
    return next(
        delivery.id for delivery in operating(bench).listed() if delivery.state is DeliveryState.GAVE_UP
    )


def test_pending_and_given_up_deliveries_are_listed_with_their_errors(bench: Bench) -> None:
    delivered, waiting = bench.open(), bench.alert()
    bench.run()
    bench.slack.outcomes["#ops"] = [fails(ChannelErrorKind.UNREACHABLE)]
    bench.open()
    bench.run()

    (only,) = operating(bench).listed()

    assert (DeliveryState.PENDING, 1, "unreachable") == (
        only.state,
        only.num_attempts,
        str(only.error),
    )
    assert 2 == len(operating(bench).listed(every=True))
    assert delivered < waiting


def test_a_given_up_delivery_is_sent_again_with_an_audit_entry(bench: Bench) -> None:
    delivery = given_up(bench)

    assert DeliveryState.GAVE_UP is operating(bench).resend(delivery, by=ADA)
    bench.run(seconds=1)

    assert ["opened"] == bench.slack.received()
    with bench.database.read() as conn:
        (entry,) = audit.newest(conn, limit=9)
    assert (Act.RESEND, "ada", f"delivery {delivery}") == (entry.act, entry.actor, entry.subject)


def test_a_delivered_message_is_not_sent_again(bench: Bench) -> None:
    bench.open()
    bench.run()
    (delivery,) = operating(bench).listed(every=True)

    assert DeliveryState.DELIVERED is operating(bench).resend(delivery.id, by=ADA)
    bench.run(seconds=1)

    assert ["opened"] == bench.slack.received()


def test_resending_an_unknown_delivery_returns_none(bench: Bench) -> None:
    assert operating(bench).resend("0" * 32, by=ADA) is None
