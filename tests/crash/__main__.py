"""`python -m tests.crash --rounds 300 --database sqlite --seed 1`: hundreds of rounds in parallel."""

import argparse
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.deployment import NUM_WALLETS, Deployment
from tests.crash.interruptions import InterruptionKind
from tests.crash.rounds import Round, run_round
from tests.databases import empty_databases

UrlOf = Callable[[Path], str]
"""From a deployment's folder to the URL of its database."""


class Tally:
    """The sums over all deployments."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rounds: list[Round] = []
        self.interrupted: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()

    def add(self, deployment: int, done: Round) -> None:
        """Add a round and print its result."""
        with self._lock:
            self.rounds.append(done)
            mark = "ok" if done.passed else "BAD"
            print(
                f"{mark} deployment {deployment} round {done.number} {done.seconds:.1f} s: {'; '.join(done.interruptions)}",
                flush=True,
            )
            for fault in (*done.reconciliation.losses, *done.reconciliation.repeats):
                print(f"    {fault}")
            if not done.settled:
                print("    never settled")

    def close(self, deployment: Deployment, last: Round | None) -> None:
        """Add the counts of a deployment."""
        with self._lock:
            self.sums.update(kills=deployment.num_kills, freezes=deployment.num_freezes)
            for (kind, boundary), times in deployment.interrupter.interrupted.items():
                self.interrupted[f"{kind} at {boundary}"] += times
                self.sums["disconnected"] += times if kind is InterruptionKind.DISCONNECT else 0
            if last is not None:
                found = last.reconciliation
                self.sums.update(
                    {
                        "transitions": found.num_transitions,
                        "merged": found.num_merged,
                        "episodes that flapped": found.num_flapping,
                        "recovering in the end": found.num_recovering,
                        "mails twice (same Message-ID)": found.num_mails_twice,
                        "duplicates deleted": found.num_deleted,
                    }
                )


def main() -> int:
    """Run all rounds and print their results; return 1 if a message was lost or sent twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deployments", type=int, default=4, help="how many run in parallel")
    parser.add_argument("--keep", type=Path, help="keep the deployments' files in this folder")
    options = parser.parse_args()
    tally = Tally()
    shares = [
        len(range(number, options.rounds, options.deployments)) for number in range(options.deployments)
    ]
    with _folder(options.keep) as folder, empty_databases(options.database) as url_of:
        threads = [
            threading.Thread(target=_run_deployment, args=(number, share, options, folder, url_of, tally))
            for number, share in enumerate(shares)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _summary(tally, options.rounds)


def _run_deployment(
    number: int, share: int, options: argparse.Namespace, folder: Path, url_of: UrlOf, tally: Tally
) -> None:
    seed = options.seed * 1000 + number
    num_rounds = 0
    while num_rounds < share:
        home = folder / f"deployment-{number}-{num_rounds}"
        home.mkdir()
        with Deployment(
            home,
            url_of(home),
            seed=seed + num_rounds,
            num_replicas=1 if options.database == "sqlite" else 2,
            # every other deployment groups alerts that open together
            group_over=1000 if number % 2 == 0 else 1,
        ) as deployment:
            deployment.start()
            passed = True
            last: Round | None = None
            # a new deployment from time to time: after many rounds all balances flap, and hardly any change is a transition
            while passed and num_rounds < share and len(deployment.episodes.steady) >= NUM_WALLETS // 2:
                last = run_round(deployment, num_rounds, seed)
                tally.add(number, last)
                passed = last.passed
                num_rounds += 1
            tally.close(deployment, last)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    folder = keep or Path(tempfile.mkdtemp(prefix="crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _summary(tally: Tally, wanted: int) -> int:
    bad = [done for done in tally.rounds if not done.passed]
    print("\nwhat happened:")
    for what, times in sorted(tally.interrupted.items()):
        print(f"  {times:4} {what}")
    losses = sum(len(done.reconciliation.losses) + (not done.settled) for done in bad)
    repeats = sum(len(done.reconciliation.repeats) for done in bad)
    print(
        f"\nrounds {len(tally.rounds)} of {wanted}, "
        + ", ".join(f"{name} {n}" for name, n in tally.sums.items())
    )
    waits = sorted(done.seconds_to_settle for done in tally.rounds)
    if waits:
        half, longest = waits[len(waits) // 2], waits[-1]
        print(
            f"from the last interruption until all was sent: half within {half:.1f} s, all within {longest:.1f} s"
        )
    print(f"losses {losses}, repeats {repeats}")
    return 1 if bad or len(tally.rounds) < wanted else 0


if __name__ == "__main__":
    sys.exit(main())
