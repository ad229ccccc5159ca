"""Days on which users look at the bot, from start to end: a burst, a drain, a start, a month's end, a wrong
reading.

    python benchmarks/stories.py                      lists them
    python benchmarks/stories.py drain mailing        plays these; `all` plays all
    python benchmarks/stories.py drain --language zh-CN

Each begins with 60 days of imported history and continues with the real poll cycle every five minutes. The messages to
Slack are printed in order; at some moments they are compared with `status --json`, `advise` and the wallet's page.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from playback import DAY, STEP, Stage, sends, stage

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName

ZONE = ZoneInfo("Asia/Shanghai")
BEGUN = datetime(2026, 1, 5, tzinfo=ZONE)
"""A Monday."""
DAYS = 120
FIRST = 60
"""The day on which a story begins."""
POOL = WalletName("acme")
SHOP = BalanceKey(WalletName("acme/shop"), Category.INDUSTRY)
BY = Actor(name="ops", via=Via.CLI)


def at(day: float, hour: float = 0.0) -> datetime:
    """Return a local instant, counted from the first Monday."""
    return BEGUN + timedelta(days=day, hours=hour)


def place(day: float, hour: float = 0.0) -> int:
    """Return the step of a local instant."""
    return (at(day, hour) - BEGUN) // STEP


class Story:
    """A shop with about 900 messages per day and a shared pool, from day 60 on."""

    def __init__(
        self, stage: Stage, *, per_day: float = 900, left: int = 9_000, pool: int = 0, hour: float = 9.0
    ):
        self.stage = stage
        self.rng = np.random.default_rng(11)
        stage.begun = BEGUN
        stage.clock.at = at(FIRST, hour)
        stage.usage[SHOP] = sends(self.rng, DAYS, per_day)
        stage.left = {SHOP: left, BalanceKey(POOL, Category.INDUSTRY): pool}

    @property
    def usage(self) -> np.ndarray:
        return self.stage.usage[SHOP]

    def history(self, days: float = FIRST) -> None:
        self.stage.lives_through(days)
        self.stage.reads()

    def goes_on(self, day: float, hour: float = 0.0, *, every: timedelta = STEP) -> None:
        self.stage.passes(until=at(day, hour), every=every)

    def announce(self, messages: int) -> None:
        """Announce a send that takes two hours, from 11:00 on."""
        self.stage.app.planned_sends.announce(
            SHOP, messages=messages, starts_at=at(FIRST, 11), over=timedelta(hours=2), note="sale", by=BY
        )

    def look(self, *, page: bool = False) -> None:
        """Print the state of the shop in `status --json`, `advise`, the truth and, if wanted, the page."""
        stage, say = self.stage, self.stage.say
        now = stage.clock.at.astimezone(ZONE)
        shown = stage.status(SHOP)
        short = {
            name: shown[name]
            for name in ("balance", "burn_per_day", "usual_burn_per_day", "not_counted", "runway_days",
                         "depletes_at", "severity", "movable")
        }  # fmt: skip
        say(f"--- {now:%a %d %b %H:%M}: status --json\n{json.dumps(short, default=_rounded)}")
        say(f"--- advise\n{stage.advised()}")
        from_here = np.cumsum(self.usage[stage._place :])
        lasts = int(np.searchsorted(from_here, stage.left[SHOP])) / DAY
        month = int(from_here[: 30 * DAY][-1])
        there = sum(left for key, left in stage.left.items() if key.wallet == SHOP.wallet)
        say(f"--- truth: {lasts:.1f} d; 30 days take {month:,}, so {max(0, month - there):,} are lacking")
        if page:
            say(f"--- page\n{stage.page(SHOP.wallet)}")


def _rounded(value: object) -> object:
    return str(value)


def mailing(story: Story) -> None:
    """One mailing of 26,700 in an app of 900 a day."""
    story.stage.left[SHOP] = 31_500
    story.usage[place(FIRST, 10) : place(FIRST, 10.1)] += 26_700
    story.history()
    story.goes_on(FIRST, 10.25)
    story.look(page=True)
    story.goes_on(FIRST, 14)
    story.look()
    story.goes_on(FIRST + 2, 10, every=timedelta(minutes=15))
    story.look()


def announced(story: Story) -> None:
    """100,000 announced, and sent as announced."""
    story.stage.left[SHOP] = 110_000
    begin = place(FIRST, 11)
    story.usage[begin : begin + 24] += 100_000 // 24
    story.history()
    story.announce(100_000)
    story.look()
    story.goes_on(FIRST, 12)
    story.look(page=True)
    story.goes_on(FIRST, 13.2)
    story.look()
    story.goes_on(FIRST + 10, 9, every=timedelta(minutes=15))
    story.look()


def goes_live(story: Story) -> None:
    """An app that was idle for weeks goes live."""
    story.usage[: place(FIRST, 9)] = 0
    story.usage[place(FIRST, 9) :] *= 5
    story.stage.left[SHOP] = 30_000
    story.history()
    story.goes_on(FIRST, 11)
    story.look()
    story.goes_on(FIRST + 1, 9)
    story.look(page=True)
    story.goes_on(FIRST + 7, 9, every=timedelta(minutes=15))
    story.look()


def doubles(story: Story) -> None:
    """Usage doubles permanently."""
    story.usage[place(FIRST, 10) :] *= 2
    story.stage.left[SHOP] = 20_000
    story.history()
    story.goes_on(FIRST, 20)
    story.look()
    story.goes_on(FIRST + 2, 10, every=timedelta(minutes=15))
    story.look()


def tenfold(story: Story) -> None:
    """Usage becomes ten times as high, permanently."""
    story.usage[place(FIRST, 10) :] = sends(story.rng, DAYS, 9_000)[place(FIRST, 10) :]
    story.stage.left[SHOP] = 90_000
    story.history()
    story.goes_on(FIRST, 13)
    story.look()
    story.goes_on(FIRST + 1, 14, every=timedelta(minutes=15))
    story.look()


def month_end(story: Story) -> None:
    """A bulk of 100,000 at the end of each month: four days after one, and three days before the next."""
    months = [datetime(2026, month, day, tzinfo=ZONE) for month, day in ((1, 31), (2, 28), (3, 31), (4, 30))]
    for last in months:
        begin = (last + timedelta(hours=9) - BEGUN) // STEP
        story.usage[begin : begin + 36] += 100_000 // 36
    story.stage.clock.at = datetime(2026, 4, 4, 12, tzinfo=ZONE)
    story.stage.left[SHOP] = 60_000
    story.stage.lives_through(88)
    story.stage.reads()
    story.look(page=True)
    story.stage.passes(until=datetime(2026, 4, 27, 12, tzinfo=ZONE), every=timedelta(minutes=30))
    story.look()


def drain(story: Story) -> None:
    """Drained to 0 by a robot at night, stopped, topped up as the bot advised."""
    story.stage.left[SHOP] = 60_000
    story.usage[place(FIRST, 2) : place(FIRST, 9)] += 1_500
    story.stage.clock.at = at(FIRST, 1)
    story.history()
    story.goes_on(FIRST, 2.25)
    story.look()
    story.goes_on(FIRST, 4.5)
    story.look()
    story.goes_on(FIRST, 6.5)
    story.look(page=True)
    story.goes_on(FIRST, 9.5)
    story.look()
    story.stage.left[SHOP] += 30_000
    story.goes_on(FIRST, 10.5)
    story.look()
    story.goes_on(FIRST + 1, 10, every=timedelta(minutes=15))
    story.look()


def small_drain(story: Story) -> None:
    """A robot in an app that was low already: its spike belongs to the open alert."""
    story.stage.left[SHOP] = 4_000
    story.usage[place(FIRST, 10) : place(FIRST, 12)] += 150
    story.history()
    story.goes_on(FIRST, 10.5)
    story.look(page=True)
    story.goes_on(FIRST + 2, 12, every=timedelta(minutes=15))
    story.look()


def wrong_reading(story: Story) -> None:
    """One reading is ten times too high, and the next is right again."""
    story.stage.left[SHOP] = 9_000
    story.history()
    story.goes_on(FIRST, 10)
    story.stage.shown[SHOP] = story.stage.left[SHOP] * 10
    story.goes_on(FIRST, 10.1)
    story.goes_on(FIRST, 10.5)
    story.look(page=True)
    story.goes_on(FIRST + 1, 10, every=timedelta(minutes=15))
    story.look()


def wrong_twice(story: Story) -> None:
    """A reading ten times too high is confirmed by a second one, then corrected; then one that is a tenth."""
    story.stage.left[SHOP] = 9_000
    story.history()
    story.goes_on(FIRST, 10)
    for factor in (10.0, 0.1):
        story.stage.left[SHOP], right = int(story.stage.left[SHOP] * factor), story.stage.left[SHOP]
        story.stage.passes(until=story.stage.clock.at + STEP)
        story.stage.left[SHOP] = right
        story.stage.passes(until=story.stage.clock.at + timedelta(hours=1))
        story.look(page=factor > 1)


def universal(story: Story) -> None:
    """The industry quota is used up, and 40,000 universal take over."""
    key = BalanceKey(SHOP.wallet, Category.UNIVERSAL)
    story.stage.left[SHOP], story.stage.left[key] = 900, 40_000
    story.usage[:] = story.usage * 6
    story.history()
    used_up = place(FIRST, 9) + int(np.searchsorted(np.cumsum(story.usage[place(FIRST, 9) :]), 900))
    story.stage.usage[key] = np.where(np.arange(len(story.usage)) > used_up, story.usage, 0)
    story.goes_on(FIRST, 18)
    story.look(page=True)
    story.stage.say(json.dumps(story.stage.status(key), default=str))
    story.goes_on(FIRST + 2, 9, every=timedelta(minutes=15))
    story.look()
    story.stage.say(json.dumps(story.stage.status(key), default=str))


def once_a_day(story: Story) -> None:
    """One reading a day."""
    story.stage.left[SHOP] = 9_000
    story.stage.lives_through(FIRST, every=timedelta(days=1))
    story.stage.reads()
    story.look()
    story.goes_on(FIRST + 3, 9, every=timedelta(days=1))
    story.look()


def pool(story: Story) -> None:
    """The quota that the app needs is in the account's shared pool."""
    story.stage.left[SHOP] = 2_000
    story.stage.left[BalanceKey(POOL, Category.INDUSTRY)] = 500_000
    story.history()
    story.look(page=True)


def payday(story: Story) -> None:
    """A bulk at the month's end that was expected, on its day, and the day after."""
    for last in (datetime(2026, month, day, tzinfo=ZONE) for month, day in ((1, 31), (2, 28), (3, 31))):
        begin = (last + timedelta(hours=9) - BEGUN) // STEP
        story.usage[begin : begin + 36] += 30_000 // 36
    story.stage.clock.at = datetime(2026, 3, 31, 8, tzinfo=ZONE)
    story.stage.left[SHOP] = 60_000
    story.stage.lives_through(84)
    story.stage.reads()
    story.stage.passes(until=datetime(2026, 3, 31, 13, 30, tzinfo=ZONE))
    story.look(page=True)


def plan_not_sent(story: Story) -> None:
    """8,000 are announced and not sent."""
    story.stage.left[SHOP] = 13_000
    story.history()
    story.announce(8_000)
    story.goes_on(FIRST, 16)
    story.look()


def plan_doubled(story: Story) -> None:
    """8,000 are announced, and 16,000 are sent."""
    story.stage.left[SHOP] = 21_000
    begin = place(FIRST, 11)
    story.usage[begin : begin + 48] += 16_000 // 48
    story.history()
    story.announce(8_000)
    story.goes_on(FIRST, 17)
    story.look()


def odds_and_ends(story: Story) -> None:
    """Two low categories together, a refund, a transfer, an empty pool, a category without quota, a wallet removed."""
    stage, market = story.stage, BalanceKey(SHOP.wallet, Category.MARKET)
    pool = BalanceKey(POOL, Category.INDUSTRY)
    stage.left[SHOP], stage.left[market], stage.left[pool] = 2_500, 1_500, 20_000
    stage.usage[market] = story.usage // 2
    story.history()
    stage.say("~~~ 30 failed sends are refunded")
    stage.left[SHOP] += 30
    story.goes_on(FIRST, 9.5)
    stage.say("~~~ the whole pool is moved to the app")
    stage.left[SHOP] += stage.left[pool]
    stage.left[pool] = 0
    story.goes_on(FIRST, 11)
    story.look()
    stage.say("~~~ market is switched off")
    del stage.left[market], stage.usage[market]
    story.goes_on(FIRST, 12)
    stage.say("~~~ half of the quota goes back to the pool")
    stage.left[pool], stage.left[SHOP] = stage.left[SHOP] // 2, stage.left[SHOP] - stage.left[SHOP] // 2
    story.goes_on(FIRST, 13)
    story.goes_on(FIRST + 6, 13, every=timedelta(hours=1))
    stage.say("~~~ the app leaves the configuration")
    live = stage.app.live
    accounts = tuple(replace(account, apps=()) for account in live.now.accounts)
    live.now = replace(live.now, accounts=accounts)
    stage.app.sync_wallets()
    story.goes_on(FIRST + 6, 14)


STORIES: dict[str, Callable[[Story], None]] = {
    play.__name__: play
    for play in (
        mailing, announced, goes_live, doubles, tenfold, month_end, drain, small_drain, wrong_reading, wrong_twice,
        universal, once_a_day, pool, payday, plan_not_sent, plan_doubled, odds_and_ends,
    )
}  # fmt: skip


def main() -> None:
    """Play stories, or list them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stories", nargs="*")
    parser.add_argument("--language", default="en")
    asked = parser.parse_args()
    for name, play in STORIES.items():
        if not asked.stories:
            print(f"{name:14} {play.__doc__}")
        elif name in asked.stories or "all" in asked.stories:
            print(f"\n======== {name}: {play.__doc__}\n", flush=True)
            with stage(["shop"], at(FIRST), language=asked.language) as played:
                play(Story(played))


if __name__ == "__main__":
    main()
