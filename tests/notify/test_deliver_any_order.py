"""In any order of events, the latest notification of every alert is sent exactly once, and in order.

A state machine opens, worsens and closes alerts while requests and answers are lost, arrive late or are refused, and
processes die and are replaced; then all faults end, and the messages of the channel are compared with the decisions.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from balancebot.domain.alert import Reason
from balancebot.domain.message import Action, AlertMessage, GroupMessage, MessageRef, OutgoingMessage
from balancebot.domain.sentence import verbatim
from balancebot.ports import ChannelError, ChannelErrorKind
from balancebot.store.database import Database
from tests.outbox_bench import (
    Bench,
    FakeChannel,
    SentMessage,
    arrives,
    fails,
    killed_after,
    killed_before,
    loses_the_answer,
    loses_the_request,
)


class DeliveryMachine(RuleBasedStateMachine):
    """One destination, a few alerts, one process at a time."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        shutil.copyfile(self.template, self.folder / "course.db")
        self.database = Database(f"sqlite:///{self.folder / 'course.db'}")
        self.bench = Bench(self.database, group_over=2)
        self.under_way: list[OutgoingMessage] = []
        self.decided: dict[int, list[str]] = {}
        """Per alert, the notes of all decisions in order; every note is unique."""
        self.last_notification: dict[int, str] = {}
        """Per alert, the note that must have been received in the end, or a later one."""
        self.closed: set[int] = set()

    def _decide(self, alert_id: int, reason: Reason | None) -> None:
        notes = self.decided.setdefault(alert_id, [])
        note = f"{alert_id}.{len(notes)}"
        notes.append(note)
        if reason is None:
            self.bench.edit(alert_id, note=note)
        else:
            self.bench.enqueue(alert_id, reason, note=note)
            self.last_notification[alert_id] = note

    @rule()
    def opens(self) -> None:
        if len(self.decided) < 6:
            self._decide(self.bench.alert(), Reason.OPENED)

    @precondition(lambda self: self.decided.keys() - self.closed)
    @rule(data=st.data(), reason=st.sampled_from([Reason.WORSENED, Reason.REMINDER, Reason.RECOVERED, None]))
    def goes_on(self, data: st.DataObject, reason: Reason | None) -> None:
        alert_id = data.draw(st.sampled_from(sorted(self.decided.keys() - self.closed)))
        self._decide(alert_id, reason)
        if reason is Reason.RECOVERED:
            self.closed.add(alert_id)

    @rule(
        names=st.lists(
            st.sampled_from(
                [
                    "arrives",
                    "answer",
                    "request",
                    "late",
                    "limited",
                    "down",
                    "server",
                    "dies before",
                    "dies after",
                ]
            ),
            max_size=4,
        ),
        seconds=st.sampled_from([0, 1, 5, 20]),
    )
    def delivers(self, names: list[str], seconds: int) -> None:
        self._late_ones_arrive()
        outcomes = {
            "arrives": arrives,
            "answer": loses_the_answer,
            "request": loses_the_request,
            "late": self._comes_late,
            "limited": fails(ChannelErrorKind.RATE_LIMITED),
            "down": fails(ChannelErrorKind.UNREACHABLE),
            "server": fails(ChannelErrorKind.SERVER),
            "dies before": killed_before,
            "dies after": killed_after,
        }
        self.bench.slack.outcomes["#ops"] = [outcomes[name] for name in names]
        self.bench.run(seconds=seconds)

    @rule()
    def restarts(self) -> None:
        self.bench.restart()

    def _comes_late(self, channel: FakeChannel, outgoing: OutgoingMessage) -> MessageRef | ChannelError:
        """The answer is lost, and the message appears after the request was given up."""
        if outgoing.action is not Action.EDIT:
            self.under_way.append(outgoing)
        return ChannelError(kind=ChannelErrorKind.IN_DOUBT, message=verbatim("no answer"))

    def _late_ones_arrive(self) -> None:
        for outgoing in self.under_way:
            self.bench.slack.put(outgoing)
        self.under_way.clear()

    def teardown(self) -> None:
        """Deliver without faults until nothing is left, and compare the messages with the decisions."""
        try:
            self._late_ones_arrive()
            self.bench.slack.outcomes.clear()
            self.bench.restart()
            for _ in range(40):
                report = self.bench.run(minutes=1)
            assert (0, ()) == (report.num_pending, report.faults)
            messages = self.bench.slack.messages
            assert len(messages) == len({message.delivery_id for message in messages})
            for alert_id in self.decided:
                self._compare(alert_id, messages)
        finally:
            self.database.dispose()
            shutil.rmtree(self.folder)

    def _compare(self, alert_id: int, messages: list[SentMessage]) -> None:
        notes = self.decided[alert_id]
        received = [note for message in messages for note in _notes_in(message, str(alert_id))]
        living = [message for message in messages if message.below is None and _shown(message, str(alert_id))]
        assert [note for note in notes if note in received] == received, "each once, and in order"
        assert notes.index(self.last_notification[alert_id]) <= notes.index(received[-1]), (
            "the latest notification was sent"
        )
        assert [notes[-1]] == [_shown(message, str(alert_id)) for message in living], (
            "one living message, up to date"
        )


def _notes_in(message: SentMessage, alert_id: str) -> list[str]:
    """Return the notes about the alert for which the message notified."""
    match message.message:
        case AlertMessage(alert_id=number, context=context) if number == alert_id:
            return [context.note]
        case GroupMessage(members=members, new=new):
            return [
                member.context.note
                for member in members
                if member.alert_id == alert_id and alert_id in (new or [alert_id])
            ]
        case _:
            return []


def _shown(message: SentMessage, alert_id: str) -> str | None:
    """Return what the message now says about the alert."""
    latest = [message.message, *message.edits][-1]
    members = latest.members if isinstance(latest, GroupMessage) else [latest]
    return next(
        (
            member.context.note
            for member in members
            if isinstance(member, AlertMessage) and member.alert_id == alert_id
        ),
        None,
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_latest_state_is_sent_exactly_once_in_any_order_of_events(sqlite_template: Path) -> None:
    class FromTemplate(DeliveryMachine):
        template = sqlite_template

    run_state_machine_as_test(
        FromTemplate,
        settings=settings(
            max_examples=16,
            stateful_step_count=25,
        ),
    )
