"""Whatever happens in whatever order, an alert is told in one piece: opened, then worse or again, then well."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from balancebot.domain.alert import (
    CALM_FOR,
    FLAPS,
    Alert,
    AlertKind,
    AlertSubject,
    Cause,
    Reason,
    Transition,
    acknowledge,
    advance,
    close,
    mute,
    pass_time,
    was_ahead,
)
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.verdict import FINE, NO_DATA, Severity, Verdict

SUBJECT = AlertSubject(
    kind=AlertKind.LOW_BALANCE, wallet=WalletName("acme/checkout"), category=Category.INDUSTRY
)
REMIND_EVERY = timedelta(hours=24)
BAD = st.sampled_from([Severity.WARNING, Severity.CRITICAL, Severity.DEPLETED])


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """A verdict as `judge` gives them: what is past is past by order of badness."""
    kind = draw(st.sampled_from(["fine", "near", "bad", "bad", "bad", "unknown"]))
    if kind == "fine":
        return FINE
    if kind == "unknown":
        return NO_DATA
    if kind == "near":
        past = draw(st.sampled_from([frozenset(), frozenset({Severity.CRITICAL, Severity.DEPLETED})]))
        return Verdict(severity=Severity.OK, past=past)
    severity = draw(BAD)
    may_be_past = frozenset({Severity.CRITICAL, Severity.DEPLETED} if severity is Severity.WARNING else ())
    past = draw(st.sampled_from([frozenset(), may_be_past]))
    return Verdict(severity=severity, past=past)


class AlertLife(RuleBasedStateMachine):
    """One subject, its open alert, a silence that holds or not, and everything that was said."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.alert: Alert | None = None
        self.silenced = False
        self.quiet_below: Severity | None = None
        self.said: list[Reason] = []
        self.last_told_at: datetime | None = None
        self.well_since: datetime | None = None

    @rule(verdict=verdicts(), flaps=st.integers(1, FLAPS + 2))
    def a_reading(self, verdict: Verdict, flaps: int) -> None:
        before = self.alert
        step = advance(
            before,
            verdict,
            subject=SUBJECT,
            now=self.now,
            silenced=self.silenced,
            quiet_below=self.quiet_below,
            flaps=flaps,
        )
        if step.reason in {Reason.OPENED, Reason.WORSENED}:
            assert self.quiet_below is None or verdict.severity >= self.quiet_below
        self._watch(before, step, verdict)
        if verdict is NO_DATA:
            assert step == Transition(alert=before)
        if step.reason is Reason.WORSENED:
            assert before is not None
            assert before.peak is not None
            assert before.peak < verdict.severity
            assert step.alert is not None
            assert step.alert.acknowledged_at is None
        if step.reason is Reason.RECOVERED:
            assert verdict.recovered
        if self.silenced and step.reason is not None:
            assert before is not None
            assert before.mute_lifted or (
                verdict.severity > (before.severity if before.muted_from is None else before.muted_from)
            )
        self._took(step)

    @rule(seconds=st.sampled_from([0, 60, 3600, 86_400, 200_000, -3600]))
    def time_passes_or_jumps(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        if self.alert is None:
            return
        before = self.alert
        if self.last_told_at is not None and was_ahead(self.last_told_at, self.now):
            self.last_told_at = self.now  # the clock went back: a day begins anew
        step = self._time_passed(before)
        if step.reason is not None:
            assert self.quiet_below is None or before.severity >= self.quiet_below
            assert before.calm_since is None, "what is well now, and waits, says nothing"
        if step.reason is Reason.REMINDER:
            assert not (self.silenced and not before.mute_lifted)
            assert self.last_told_at is not None
            overdue = before.expects_by is not None and self.now >= before.expects_by
            assert overdue or (
                before.acknowledged_at is None and self.now >= self.last_told_at + REMIND_EVERY
            )
        self._took(step)

    @precondition(lambda self: self.alert is not None)
    @rule(expects_in=st.none() | st.integers(1, 100_000))
    def a_person_acknowledges(self, expects_in: int | None) -> None:
        assert self.alert is not None
        expects_by = None if expects_in is None else self.now + timedelta(seconds=expects_in)
        self.alert = acknowledge(self.alert, by="on-call", note="", now=self.now, expects_by=expects_by)

    @precondition(lambda self: not self.silenced)
    @rule()
    def a_silence_begins(self) -> None:
        self.silenced = True
        if self.alert is not None:
            self.alert = mute(self.alert)

    @precondition(lambda self: self.silenced)
    @rule()
    def the_silence_ends(self) -> None:
        self.silenced = False
        if self.alert is not None:
            self._took(self._time_passed(self.alert))
            assert self.alert.calm_since is not None or self.alert.peak is not None or self._waits(), (
                "what is open is told when the silence ends"
            )

    @precondition(lambda self: self.quiet_below is None)
    @rule(below=st.sampled_from([Severity.CRITICAL, Severity.DEPLETED]))
    def quiet_hours_begin(self, below: Severity) -> None:
        self.quiet_below = below

    @precondition(lambda self: self.quiet_below is not None)
    @rule()
    def quiet_hours_end(self) -> None:
        self.quiet_below = None
        if self.alert is not None:
            before = self.alert
            step = self._time_passed(before)
            assert (step.reason is Reason.OPENED and before.muted_from is None) is step.has_waited
            self._took(step)
            assert self.alert.calm_since is not None or self.alert.peak is not None or self.silenced, (
                "what is open is told when quiet hours end"
            )

    @precondition(lambda self: self.alert is not None)
    @rule()
    def its_wallet_leaves(self) -> None:
        assert self.alert is not None
        closed = close(
            self.alert,
            now=self.now,
            silenced=self.silenced,
            quiet_below=self.quiet_below,
            cause=Cause.WALLET_REMOVED,
        )
        self._took(closed)

    def _time_passed(self, alert: Alert) -> Transition:
        return pass_time(
            alert,
            now=self.now,
            silenced=self.silenced,
            quiet_below=self.quiet_below,
            remind_every=REMIND_EVERY,
        )

    def _waits(self) -> bool:
        return (
            self.alert is not None and self.quiet_below is not None and self.alert.severity < self.quiet_below
        )

    def _watch(self, before: Alert | None, step: Transition, verdict: Verdict) -> None:
        """Keep a book of its own of how long what flaps has been well."""
        if before is None:
            self.well_since = None
        if before is None or verdict is NO_DATA:
            return
        since = self.well_since
        self.well_since = (
            None if not verdict.recovered else self.now if since is None else min(since, self.now)
        )
        if not before.is_flapping or step.alert is None:
            return
        if step.alert.closed_at is not None:
            assert since is not None
            assert self.now - since >= CALM_FOR
        is_well = verdict.recovered
        assert (is_well, not is_well) == (step.alert.calm_since is not None, step.alert.calm_since is None)
        assert step.alert.relapses - before.relapses == (since is not None and not is_well)

    def _took(self, step: Transition) -> None:
        if step.reason is not None:
            self.said.append(step.reason)
            self.last_told_at = self.now
        self.alert = None if step.alert is None or step.alert.closed_at is not None else step.alert
        if self.alert is None and step.alert is not None:
            # an episode that ended inside a silence is closed without a word
            self._episode_is_whole()
            self.said.clear()

    def _episode_is_whole(self) -> None:
        if self.said:
            opened, *middle = self.said
            assert opened is Reason.OPENED
            assert set(middle[:-1]) <= {Reason.WORSENED, Reason.REMINDER}
            assert not middle or middle[-1] is not Reason.OPENED

    @invariant()
    def what_is_told_is_told_in_order(self) -> None:
        assert self.said == [] or self.said[0] is Reason.OPENED
        assert self.said.count(Reason.OPENED) <= 1
        assert Reason.RECOVERED not in self.said

    @invariant()
    def the_peak_is_what_was_told(self) -> None:
        if self.alert is not None:
            assert (self.alert.peak is None) is (self.said == [])
            assert self.alert.severity > Severity.OK
            is_told = self.alert.peak is None or self.alert.peak >= self.alert.severity
            # what quiet hours held back is told by the next look at the clock
            assert is_told or self.alert.muted or self._waits()


TestAlertLife = AlertLife.TestCase
TestAlertLife.settings = settings(max_examples=300, stateful_step_count=40)
