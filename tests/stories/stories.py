"""Simulated days through the real poll cycle, outbox and Slack: all messages that each person gets, in order.

Usage has no random numbers, so that every figure is the same on every machine.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from balancebot.cli.status import for_people
from balancebot.config import ENGLISH
from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName
from balancebot.domain.threshold import Scope
from balancebot.explain.explain import explain
from balancebot.explain.render import Face, render
from balancebot.i18n import Wording
from balancebot.overview.balances import overview
from benchmarks.playback import CODES, STEP, Stage, stage

SHOP = BalanceKey(WalletName("acme/shop"), Category.INDUSTRY)
POOL = BalanceKey(WalletName("acme"), Category.INDUSTRY)
FINANCE = Actor(name="finance", via=Via.PAGE)
ONCALL = Actor(name="oncall", via=Via.SLACK)
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
FRIDAY = datetime(2026, 3, 6, 9, tzinfo=SHANGHAI)
HISTORY = 22
"""Days of history before a story begins."""
QUARTER = timedelta(minutes=15)


class Story:
    """A shop with the same usage every day, from the reading at `begins` (local time) on."""

    def __init__(
        self,
        played: Stage,
        begins: datetime,
        *,
        language: str,
        left: int,
        per_day: float = 900.0,
        pool: int | None = None,
    ) -> None:
        assert isinstance(begins.tzinfo, ZoneInfo)
        self.stage, self.language, self.zone = played, language, begins.tzinfo
        self.begins = begins.astimezone(UTC)
        played.begun = self.begins - timedelta(days=HISTORY)
        played.clock.at = self.begins
        steps = [played.begun + STEP * number for number in range((HISTORY + 12) * 288)]
        hours = np.array([step.astimezone(self.zone).hour for step in steps])
        self.usage = whole_messages(per_day / 288 * CODES[hours] / CODES.mean())
        played.usage[SHOP] = self.usage
        played.left = {SHOP: left}
        if pool is not None:
            played.left[POOL] = pool

    def step(self, hours: float) -> int:
        """Return the step `hours` after the beginning."""
        assert self.stage.begun is not None
        return (self.begins + timedelta(hours=hours) - self.stage.begun) // STEP

    def sends(self, messages: int, *, at: float, for_hours: float = 1 / 12) -> None:
        """Send `messages` evenly from `at` on (in hours after the beginning)."""
        first, last = self.step(at), self.step(at + for_hours)
        self.usage[first:last] += messages // (last - first)

    def knows_the_past(self, days: float = HISTORY) -> None:
        """Import the history and read for the first time."""
        self.stage.lives_through(days, every=timedelta(hours=1))
        self.stage.reads()

    def until(self, hours: float, *, every: timedelta = QUARTER) -> None:
        """Let time pass until `hours` after the beginning."""
        self.stage.passes(until=self.begins + timedelta(hours=hours), every=every)

    def looks(self) -> None:
        """Show the output of `why` for the shop, and of `status`, which is only in English."""
        app, now = self.stage.app, self.stage.clock.at
        words = Wording(language=self.language, zone=self.zone)
        with app.database.read() as conn:
            book = app.thresholds.book(conn)
            stale_after = app.settings.poll.stale_after
            views = overview(conn, book=book, stale_after=stale_after, now=now, names=[SHOP.wallet])
            found = explain(conn, *SHOP, settings=app.settings, book=book, figures=app.figures, now=now)
        if self.language == ENGLISH:
            shown = for_people([view for view in views if view.key == SHOP], [], words, now)
            self.stage.say(f"--- status\n{shown}")
        self.stage.say(f"--- why\n{render(found, words, Face.TEXT)}")

    def limits(self, **cells: str) -> None:
        """Let finance change limits on the page."""
        self.stage.say(f"~~~ {self.clock}: finance sets {cells}")
        self.stage.app.edit_thresholds.set(Scope(*SHOP), cells, by=FINANCE)
        self.stage.delivers()

    def acknowledges(self, alert_id: str) -> None:
        """Let the person on call acknowledge an alert in Slack."""
        self.stage.say(f"~~~ {self.clock}: oncall acknowledges alert {alert_id}")
        self.stage.app.operate_alerts.acknowledge(alert_id, by=ONCALL, note="looking into it")
        self.stage.delivers()

    @property
    def clock(self) -> str:
        """The local time."""
        return f"{self.stage.clock.at.astimezone(self.zone):%a %d %b %H:%M}"


@contextmanager
def new_story(
    begins: datetime,
    *,
    language: str,
    say: Callable[[str], None],
    migrated: Path,
    left: int,
    per_day: float = 900.0,
    pool: int | None = None,
    more: str = "",
) -> Iterator[Story]:
    """Yield a story in a copy of the database file `migrated`. `more` are further sections of the configuration."""
    zone = str(begins.tzinfo)
    with stage(
        ["shop"], begins, language=language, say=say, zone=zone, more=more, migrated=migrated
    ) as played:
        yield Story(played, begins, language=language, left=left, per_day=per_day, pool=pool)


NewStory = Callable[..., AbstractContextManager[Story]]
"""`new_story` with a language, a reader and a database."""


def whole_messages(rate: np.ndarray) -> np.ndarray:
    """Return whole messages per step whose sums follow the rate."""
    return np.diff(np.floor(np.cumsum(rate) + 1e-6), prepend=0.0).astype(int)


ESCALATION = """
[[escalations]]
match = "acme/*"
severity = "warning"
after = "30m"
slack = ["#oncall"]
"""
QUIET = """
[quiet]
hours = "22:00-06:00"
below = "critical"
"""


def clock_set_forward(new_story: NewStory) -> None:
    """At 02:00 it is 03:00: an app runs low in quiet hours, and is drained across the change."""
    begins = datetime(2026, 3, 28, 21, tzinfo=BERLIN)
    with new_story(begins, more=QUIET, left=6_650) as story:
        story.sends(4_800, at=3.5, for_hours=2.5)
        story.knows_the_past()
        story.until(4.75, every=STEP)
        story.looks()
        story.until(12)
        story.looks()


def clock_set_back(new_story: NewStory) -> None:
    """The hour from 02:00 on comes twice: an app runs out in this night, and is topped up."""
    begins = datetime(2026, 10, 24, 21, tzinfo=BERLIN)
    with new_story(begins, left=112) as story:
        story.knows_the_past()
        story.looks()
        story.until(11)
        story.stage.say(f"~~~ {story.clock}: 30,000 are topped up")
        story.stage.left[SHOP] += 30_000
        story.until(12)


def idle(new_story: NewStory) -> None:
    """An app that sends nothing for weeks, then a single message."""
    with new_story(FRIDAY, left=5_000, per_day=0.0) as story:
        story.sends(1, at=2)
        story.knows_the_past()
        story.until(1)
        story.looks()
        story.until(5)
        story.looks()


def limit_edited(new_story: NewStory) -> None:
    """Finance loosens a limit while its alert is open, tightens it again, and switches it off."""
    with new_story(FRIDAY, left=20_050, pool=0) as story:
        story.limits(warning_below="20000", critical_below="5000", warning_days="off", critical_days="off")
        story.knows_the_past()
        story.until(2)
        story.limits(warning_below="15000")
        story.until(2.5)
        story.limits(warning_below="30000", critical_below="25000")
        story.until(3)
        story.limits(warning_below="off", critical_below="off")
        story.until(3.5)
        story.looks()


def acknowledged_while_it_escalates(new_story: NewStory) -> None:
    """A warning is acknowledged in time; it worsens, nobody answers, it escalates, and is acknowledged then."""
    with new_story(FRIDAY, more=ESCALATION, left=2_010, pool=0) as story:
        story.limits(
            warning_below="2000", critical_below="1900", warning_days="off", critical_days="off",
            note="call the shop team",
        )  # fmt: skip
        story.knows_the_past()
        story.until(0.5)
        story.acknowledges("1")
        story.until(3)
        story.acknowledges("1")
        story.until(4)
        story.looks()


def first_hours(new_story: NewStory) -> None:
    """A new app whose only usage is one drain in its first hour; then it is used as usual."""
    with new_story(FRIDAY + timedelta(minutes=40), left=100_000) as story:
        story.usage[: story.step(4)] = 0
        story.sends(77_000, at=0.5)
        story.stage.reads()
        for hours in (1 + 1 / 3, 2.5, 6, 30):
            story.until(hours, every=QUARTER if hours < 6 else 4 * QUARTER)
            story.looks()


def newsletter(new_story: NewStory) -> None:
    """Every Thursday a newsletter of 12,000, and hardly anything else."""
    with new_story(FRIDAY, left=44_000, per_day=577.0) as story:
        for week in range(-3, 2):
            story.sends(12_000, at=week * 168 + 145, for_hours=1)
        story.knows_the_past()
        story.looks()
        story.until(144, every=timedelta(hours=6))
        story.until(147)
        story.looks()


def tenfold(new_story: NewStory) -> None:
    """Usage becomes ten times as high for good; the spike is acknowledged, and little is left in the end."""
    with new_story(FRIDAY, left=30_000, pool=0) as story:
        story.usage[story.step(1) :] *= 10
        story.knows_the_past()
        story.until(1.5, every=STEP)
        story.acknowledges("1")
        story.until(6)
        story.looks()
        story.until(60, every=4 * QUARTER)
        story.looks()


STORIES = (
    clock_set_forward,
    clock_set_back,
    idle,
    limit_edited,
    acknowledged_while_it_escalates,
    first_hours,
    newsletter,
    tenfold,
)
