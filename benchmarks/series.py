"""Series of real usage from a folder of CSV files, as usage per five minutes.

A file begins with a line `# start_epoch=... step_s=... n=...` and a header; then `i,count` for each bin with use.
"""

from pathlib import Path

import numpy as np

READINGS = 12
"""Per hour."""


def load(path: Path) -> tuple[int, np.ndarray]:
    """Return the first hour (since 1970) and the usage per five minutes."""
    with path.open() as file:
        head = dict(pair.split("=") for pair in file.readline()[1:].split("(")[0].split())
        file.readline()
        rows = np.loadtxt(file, delimiter=",", dtype=np.int64, ndmin=2)
    use = np.zeros(int(head["n"]), np.int64)
    use[rows[:, 0]] = rows[:, 1]
    parts = int(head["step_s"]) // 300
    if parts > 1:  # longer bins are split at random into five minutes
        use = np.random.default_rng(0).multinomial(use, np.full(parts, 1 / parts)).ravel()
    start = int(head["start_epoch"])
    skipped = -start % 3600 // 300
    use = use[skipped : skipped + (len(use) - skipped) // READINGS * READINGS]
    return (start + skipped * 300) // 3600, use
