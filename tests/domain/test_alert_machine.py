"""In any order of events, an alert sends its notifications in order: opened, then worsenings and reminders, then its end."""

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
    """Return a verdict as `judge` returns it: `past` contains the worst limits first."""
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


class AlertMachine(RuleBasedStateMachine):
    """One subject, its open alert, a silence that may be active, and all notifications of the alert."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.alert: Alert | None = None
        self.silenced = False
        self.quiet_below: Severity | None = None
        self.sent: list[Reason] = []
        self.last_sent_at: datetime | None = None
        self.ok_since: datetime | None = None

    @rule(verdict=verdicts(), flaps=st.integers(1, FLAPS + 2))
    def a_reading(self, verdict: Verdict, flaps: int) -> None:
        before = self.alert
        transition = advance(
            before,
            verdict,
            subject=SUBJECT,
            now=self.now,
            silenced=self.silenced,
            quiet_below=self.quiet_below,
            flaps=flaps,
        )
        if transition.reason in {Reason.OPENED, Reason.WORSENED}:
            assert self.quiet_below is None or verdict.severity >= self.quiet_below
        self._check_calm(before, transition, verdict)
        if verdict is NO_DATA:
            assert transition == Transition(alert=before)
        if transition.reason is Reason.WORSENED:
            assert before is not None
            assert before.peak is not None
            assert before.peak < verdict.severity
            assert transition.alert is not None
            assert transition.alert.acknowledged_at is None
        if transition.reason is Reason.RECOVERED:
            assert verdict.recovered
        if self.silenced and transition.reason is not None:
            assert before is not None
            assert before.mute_lifted or (
                verdict.severity > (before.severity if before.muted_from is None else before.muted_from)
            )
        self._apply(transition)

    @rule(seconds=st.sampled_from([0, 60, 3600, 86_400, 200_000, -3600]))
    def time_passes_or_jumps(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        if self.alert is None:
            return
        before = self.alert
        if self.last_sent_at is not None and was_ahead(self.last_sent_at, self.now):
            self.last_sent_at = self.now  # the clock was set back: a new day begins
        transition = self._pass_time(before)
        if transition.reason is not None:
            assert self.quiet_below is None or before.severity >= self.quiet_below
            assert before.calm_since is None, "a recovering alert sends nothing"
        if transition.reason is Reason.REMINDER:
            assert not (self.silenced and not before.mute_lifted)
            assert self.last_sent_at is not None
            overdue = before.expects_by is not None and self.now >= before.expects_by
            assert overdue or (
                before.acknowledged_at is None and self.now >= self.last_sent_at + REMIND_EVERY
            )
        self._apply(transition)

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
            self._apply(self._pass_time(self.alert))
            assert (
                self.alert.calm_since is not None
                or self.alert.peak is not None
                or self._is_held_by_quiet_hours()
            ), "an open alert is sent when the silence ends"

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
            transition = self._pass_time(before)
            assert (transition.reason is Reason.OPENED and before.muted_from is None) is transition.has_waited
            self._apply(transition)
            assert self.alert.calm_since is not None or self.alert.peak is not None or self.silenced, (
                "an open alert is sent when quiet hours end"
            )

    @precondition(lambda self: self.alert is not None)
    @rule()
    def wallet_is_removed(self) -> None:
        assert self.alert is not None
        closed = close(
            self.alert,
            now=self.now,
            silenced=self.silenced,
            quiet_below=self.quiet_below,
            cause=Cause.WALLET_REMOVED,
        )
        self._apply(closed)

    def _pass_time(self, alert: Alert) -> Transition:
        return pass_time(
            alert,
            now=self.now,
            silenced=self.silenced,
            quiet_below=self.quiet_below,
            remind_every=REMIND_EVERY,
        )

    def _is_held_by_quiet_hours(self) -> bool:
        return (
            self.alert is not None and self.quiet_below is not None and self.alert.severity < self.quiet_below
        )

    def _check_calm(self, before: Alert | None, transition: Transition, verdict: Verdict) -> None:
        """Check with an independent count how long a flapping balance has been OK."""
        if before is None:
            self.ok_since = None
        if before is None or verdict is NO_DATA:
            return
        since = self.ok_since
        self.ok_since = None if not verdict.recovered else self.now if since is None else min(since, self.now)
        if not before.is_flapping or transition.alert is None:
            return
        if transition.alert.closed_at is not None:
            assert since is not None
            assert self.now - since >= CALM_FOR
        is_ok = verdict.recovered
        assert (is_ok, not is_ok) == (
            transition.alert.calm_since is not None,
            transition.alert.calm_since is None,
        )
        assert transition.alert.relapses - before.relapses == (since is not None and not is_ok)

    def _apply(self, transition: Transition) -> None:
        if transition.reason is not None:
            self.sent.append(transition.reason)
            self.last_sent_at = self.now
        self.alert = (
            None if transition.alert is None or transition.alert.closed_at is not None else transition.alert
        )
        if self.alert is None and transition.alert is not None:
            # an episode that ended during a silence is closed without a message
            self._check_episode()
            self.sent.clear()

    def _check_episode(self) -> None:
        if self.sent:
            opened, *middle = self.sent
            assert opened is Reason.OPENED
            assert set(middle[:-1]) <= {Reason.WORSENED, Reason.REMINDER}
            assert not middle or middle[-1] is not Reason.OPENED

    @invariant()
    def notifications_are_in_order(self) -> None:
        assert self.sent == [] or self.sent[0] is Reason.OPENED
        assert self.sent.count(Reason.OPENED) <= 1
        assert Reason.RECOVERED not in self.sent

    @invariant()
    def the_peak_was_sent(self) -> None:
        if self.alert is not None:
            assert (self.alert.peak is None) is (self.sent == [])
            assert self.alert.severity > Severity.OK
            is_sent = self.alert.peak is None or self.alert.peak >= self.alert.severity
            # an alert held back by quiet hours is sent at the next tick
            assert is_sent or self.alert.muted or self._is_held_by_quiet_hours()


TestAlertMachine = AlertMachine.TestCase
TestAlertMachine.settings = settings(max_examples=300, stateful_step_count=40)
