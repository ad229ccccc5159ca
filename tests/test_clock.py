"""A short jump of the wall clock does not affect the steady clock."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.clock import SteadyClock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_DOUBT = timedelta(seconds=20)


class Machine:
    """A machine with a wall clock that can be set, and a counter of seconds since its start."""

    def __init__(self) -> None:
        self.elapsed = 500.0
        self.wrong_by = timedelta()
        self.steady = SteadyClock(self.wall, believes_after=_DOUBT, elapsed=lambda: self.elapsed)

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.elapsed - 500.0) + self.wrong_by

    def shows(self, seconds: float) -> timedelta:
        """Let seconds pass, and return the error of the steady clock."""
        self.elapsed += seconds
        return self.steady.now() - (self.wall() - self.wrong_by)


JUMPS = [
    timedelta(hours=1),
    timedelta(hours=-1),
    timedelta(days=60),
    timedelta(days=-60),
    datetime(1970, 1, 1, tzinfo=UTC) - NOON,
]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_that_is_reversed_is_ignored(jump: timedelta) -> None:
    machine = Machine()
    machine.shows(0)
    machine.wrong_by = jump
    during = [machine.shows(5) for _ in range(4)]
    machine.wrong_by = timedelta()
    assert {timedelta()} == {*during, *(machine.shows(5) for _ in range(8))}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_lasting_jump_is_followed(jump: timedelta) -> None:
    machine = Machine()
    machine.shows(0)
    machine.wrong_by = jump
    assert [timedelta(), timedelta(), jump, jump] == [machine.shows(seconds) for seconds in (1, 19, 1, 1)]


def test_a_correction_by_seconds_is_followed_immediately() -> None:
    machine = Machine()
    for seconds in (0.5, -3, 40, -19):
        machine.shows(1)
        machine.wrong_by = timedelta(seconds=seconds)
        assert machine.wrong_by == machine.shows(0)


def test_a_clock_that_runs_fast_is_followed_with_a_delay() -> None:
    machine = Machine()
    for _ in range(200):
        machine.wrong_by += timedelta(hours=1)
        assert timedelta() <= machine.wrong_by - machine.shows(1) <= timedelta(hours=22)
