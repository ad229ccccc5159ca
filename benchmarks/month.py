"""A month of ten simulated senders through the real poll cycle; prints every message that users get, in order.

    python benchmarks/month.py [--seed 1] [--days 30] [--language zh-CN]

Two months of history are imported, then everything is read every quarter of an hour. Finance reads Slack at 10:00 on
working days and follows `advise`: it moves quota from the pool at once, and what it buys arrives a lead time later. Ops
stop an attack two hours after its alert. At the end: messages per sender and kind, and the balances that reached zero.
"""

import argparse
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from playback import DAY, OFFICE, STEP, Stage, sends, stage

from balancebot.domain.audit import Actor, Via
from balancebot.domain.balance import BalanceKey, Category, WalletName

ZONE = ZoneInfo("Asia/Shanghai")
BEGUN = datetime(2026, 1, 5, tzinfo=ZONE)
FIRST = 70
"""The day on which the month begins: a Monday, 16 March."""
LEAD = timedelta(days=2)
READ = timedelta(minutes=15)
BY = Actor(name="ops", via=Via.CLI)


def place(day: float, hour: float = 0.0) -> int:
    """Return the step of a local instant, counted from the first Monday."""
    return (timedelta(days=day, hours=hour)) // STEP


class Month:
    """Ten senders of one account, each with its own daily pattern."""

    def __init__(self, played: Stage, seed: int, days: int) -> None:
        self.stage = played
        self.rng = np.random.default_rng(seed)
        self.days = FIRST + days + 40
        self.stops: dict[BalanceKey, int] = {}
        """The step at which each sender's attack ends."""
        self.ordered: list[tuple[datetime, BalanceKey, int]] = []
        self.dry: Counter[str] = Counter()
        played.begun = BEGUN
        played.clock.at = BEGUN + timedelta(days=FIRST)
        for name, (per_day, days_left, category) in SENDERS.items():
            key = BalanceKey(WalletName(f"acme/{name}"), category)
            usage = getattr(self, name.replace("-", "_"))(self.size(per_day))
            played.usage[key] = usage
            month = usage[place(FIRST) : place(FIRST + 30)].sum() / 30
            played.left[key] = int(max(month, per_day / 10) * days_left) + 1
        played.left[BalanceKey(WalletName("acme"), Category.INDUSTRY)] = 150_000

    def size(self, per_day: float) -> float:
        """Return a size near the usual one."""
        return float(per_day * self.rng.lognormal(0, 0.3))

    def key(self, name: str) -> BalanceKey:
        """Return the balance of a sender."""
        return BalanceKey(WalletName(f"acme/{name}"), SENDERS[name][2])

    # --- the senders

    def steady(self, per_day: float) -> np.ndarray:
        return sends(self.rng, self.days, per_day)

    def office(self, per_day: float) -> np.ndarray:
        return sends(self.rng, self.days, per_day, shape=OFFICE, weekend=0.03)

    def campaigns(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day)
        return self._with_campaigns(usage, every=9, size=5 * per_day)

    def promotions(self, per_day: float) -> np.ndarray:
        return self._with_campaigns(np.zeros(self.days * DAY, int), every=8, size=8 * per_day)

    def payroll(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day / 10)
        for day in range(self.days):
            if (BEGUN + timedelta(days=day + 1)).day == 1:
                usage[place(day, 9) : place(day, 12)] += int(20 * per_day / 36)
        return usage

    def attacked(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day)
        usage[place(FIRST + 9, 3) : place(FIRST + 9, 11)] += int(per_day / 12)
        return usage

    def doubling(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day)
        usage[place(FIRST + 11) :] *= 2
        return usage

    def new_shop(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day)
        usage[: place(FIRST + 4, 9)] = 0
        return usage

    def newsletter(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day)
        for day in (FIRST + 6, FIRST + 20):
            usage[place(day, 14) : place(day, 15)] += int(10 * per_day / 12)
        return usage

    def winter_sale(self, per_day: float) -> np.ndarray:
        usage = sends(self.rng, self.days, per_day)
        usage[place(FIRST + 14) :] //= 4
        return usage

    def _with_campaigns(self, usage: np.ndarray, *, every: float, size: float) -> np.ndarray:
        day = float(self.rng.exponential(every))
        while day < self.days - 1:
            begin = place(int(day), float(self.rng.integers(9, 18)))
            usage[begin : begin + 12] += int(size * self.rng.lognormal(0, 0.4) / 12)
            day += float(self.rng.exponential(every))
        return usage

    # --- the month

    def play(self, days: int) -> None:
        """Play the month."""
        played = self.stage
        played.lives_through(FIRST - 1)
        end = played.clock.at + timedelta(days=days)
        newsletter = self.key("newsletter")
        announced = {
            FIRST + 19: (newsletter, int(played.usage[newsletter][place(FIRST + 20, 14)]) * 12),
        }
        while played.clock.at < end:
            day = (played.clock.at - BEGUN).days
            if played.clock.at == BEGUN + timedelta(days=day, hours=10):
                if day in announced:
                    key, messages = announced[day]
                    played.say(
                        f"~~~ {played.clock.at:%a %d %b}: ops announce {messages:,} of {key} for tomorrow, 14:00"
                    )
                    played.app.planned_sends.announce(
                        key, messages=messages, starts_at=BEGUN + timedelta(days=day + 1, hours=14),
                        over=timedelta(hours=1), by=BY,
                    )  # fmt: skip
                if played.clock.at.weekday() < 5:
                    self.finance()
            self.arrives()
            before = dict(played.left)
            played.passes(until=played.clock.at + READ, every=READ)
            for key, left in played.left.items():
                if left == 0 < before[key]:
                    self.dry[str(key)] += 1

    def finance(self) -> None:
        """Follow the output of `advise`."""
        played = self.stage
        now = played.clock.at
        for row in played.advice().rows:
            advice = row.advice
            if advice is None or not advice.is_needed:
                continue
            if advice.stop_first:
                played.say(f"~~~ {now:%a %d %b}: ops stop the sending of {row.key}")
                usage, here = played.usage[row.key], played._place
                usage[here : place(FIRST + 9, 11)] = np.minimum(usage[here : place(FIRST + 9, 11)], 5)
                continue
            if any(key == row.key for _, key, _ in self.ordered) or advice.order_by is None:
                continue
            if advice.order_by - now > LEAD:
                continue
            if advice.move:
                played.say(f"~~~ {now:%a %d %b}: finance moves {advice.move:,} to {row.key}")
                played.left[BalanceKey(WalletName("acme"), row.key.category)] -= advice.move
                played.left[row.key] += advice.move
            if advice.messages:
                played.say(f"~~~ {now:%a %d %b}: finance buys {advice.messages:,} for {row.key}")
                self.ordered.append((now + LEAD, row.key, advice.messages))

    def arrives(self) -> None:
        """Let purchases arrive."""
        played = self.stage
        for order in [order for order in self.ordered if order[0] <= played.clock.at]:
            self.ordered.remove(order)
            _, key, messages = order
            played.say(f"~~~ {played.clock.at:%a %d %b %H:%M}: {messages:,} arrive at {key}")
            played.left[key] += messages


SENDERS: dict[str, tuple[float, float, Category]] = {
    "steady": (6_000, 12, Category.INDUSTRY),
    "office": (1_500, 20, Category.INDUSTRY),
    "campaigns": (900, 25, Category.MARKET),
    "promotions": (1_200, 20, Category.MARKET),
    "payroll": (3_000, 14, Category.INDUSTRY),
    "attacked": (2_000, 25, Category.INDUSTRY),
    "doubling": (800, 20, Category.INDUSTRY),
    "new-shop": (2_500, 15, Category.INDUSTRY),
    "newsletter": (700, 30, Category.MARKET),
    "winter-sale": (1_000, 9, Category.INDUSTRY),
}
"""Name -> messages per day, days that the first balance lasts, and the category."""


def main() -> None:
    """Play the month, and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--language", default="en")
    asked = parser.parse_args()
    with stage(list(SENDERS), BEGUN + timedelta(days=FIRST), language=asked.language) as played:
        month = Month(played, asked.seed, asked.days)
        month.play(asked.days)
        posts = Counter(
            "reply" if "thread_ts" in call.params else "post"
            for call in played.slack.calls
            if call.method == "chat.postMessage"
        )
        print(f"\n{dict(posts)}; ran dry: {dict(month.dry) or 'nothing'}")
        for key, left in sorted(played.left.items()):
            print(f"{key!s:28} {left:10,} left")


if __name__ == "__main__":
    main()
