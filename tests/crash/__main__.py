"""`python -m tests.crash --rounds 300 --database sqlite --seed 1`: hundreds of rounds, in several towns at a time."""

import argparse
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.rounds import Round, play
from tests.crash.town import NUM_WALLETS, Town
from tests.crash.traps import Fate
from tests.databases import empty_databases

UrlOf = Callable[[Path], str]
"""From a town's folder to the URL of its database."""


class Tally:
    """What all towns came to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rounds: list[Round] = []
        self.struck: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()

    def add(self, town: int, done: Round) -> None:
        """Take in a round, and say how it went."""
        with self._lock:
            self.rounds.append(done)
            mark = "ok" if done.good else "BAD"
            print(
                f"{mark} town {town} round {done.number} {done.seconds:.1f} s: {'; '.join(done.blows)}",
                flush=True,
            )
            for fault in (*done.balance.losses, *done.balance.repeats):
                print(f"    {fault}")
            if not done.rested:
                print("    never came to rest")

    def close(self, town: Town, last: Round | None) -> None:
        """Take in what a town counted."""
        with self._lock:
            self.sums.update(kills=town.num_kills, freezes=town.num_freezes)
            for (fate, boundary), times in town.traps.struck.items():
                self.struck[f"{fate} at {boundary}"] += times
                self.sums["lines broken"] += times if fate is Fate.LOSE else 0
            if last is not None:
                balance = last.balance
                self.sums.update(
                    {
                        "news": balance.num_news,
                        "merged": balance.num_merged,
                        "episodes that flapped": balance.num_flapping,
                        "held in the end": balance.num_held,
                        "mails twice (same Message-ID)": balance.num_mails_twice,
                        "duplicates deleted": balance.num_deleted,
                    }
                )


def main() -> int:
    """Play and print; status 1 when anything was lost or told twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--towns", type=int, default=4, help="how many play side by side")
    parser.add_argument("--keep", type=Path, help="where the towns' files stay")
    options = parser.parse_args()
    tally = Tally()
    shares = [len(range(town, options.rounds, options.towns)) for town in range(options.towns)]
    with _ground(options.keep) as folder, empty_databases(options.database) as url_of:
        threads = [
            threading.Thread(target=_live, args=(town, share, options, folder, url_of, tally))
            for town, share in enumerate(shares)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _summary(tally, options.rounds)


def _live(
    town: int, share: int, options: argparse.Namespace, folder: Path, url_of: UrlOf, tally: Tally
) -> None:
    seed = options.seed * 1000 + town
    number = 0
    while number < share:
        home = folder / f"town-{town}-{number}"
        home.mkdir()
        with Town(
            home,
            url_of(home),
            seed=seed + number,
            num_replicas=1 if options.database == "sqlite" else 2,
            # every other town tells what opens together in one message
            group_over=1000 if town % 2 == 0 else 1,
        ) as here:
            here.start()
            good = True
            last: Round | None = None
            # not for ever in one town: in the end all its balances flap, and hardly anything is news
            while good and number < share and len(here.episodes.steady) >= NUM_WALLETS // 2:
                last = play(here, number, seed)
                tally.add(town, last)
                good = last.good
                number += 1
            tally.close(here, last)


@contextmanager
def _ground(keep: Path | None) -> Iterator[Path]:
    folder = keep or Path(tempfile.mkdtemp(prefix="crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _summary(tally: Tally, wanted: int) -> int:
    bad = [done for done in tally.rounds if not done.good]
    print("\nwhat happened, and where:")
    for what, times in sorted(tally.struck.items()):
        print(f"  {times:4} {what}")
    losses = sum(len(done.balance.losses) + (not done.rested) for done in bad)
    repeats = sum(len(done.balance.repeats) for done in bad)
    print(
        f"\nrounds {len(tally.rounds)} of {wanted}, "
        + ", ".join(f"{name} {n}" for name, n in tally.sums.items())
    )
    waits = sorted(done.seconds_to_rest for done in tally.rounds)
    if waits:
        half, longest = waits[len(waits) // 2], waits[-1]
        print(f"from the last blow until all was told: half within {half:.1f} s, all within {longest:.1f} s")
    print(f"losses {losses}, repeats {repeats}")
    return 1 if bad or len(tally.rounds) < wanted else 0


if __name__ == "__main__":
    sys.exit(main())
