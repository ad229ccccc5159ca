"""Every snapshot that is kept, as the CSV that `import_history` takes: what was imported comes out the same."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from balancebot.domain.balance import Absent
from balancebot.domain.history_sheet import COLUMNS
from balancebot.storage import snapshots, wallets
from balancebot.storage.database import Database

_END_OF_TIME = 2**40


def export_history(database: Database, file: TextIO, *, progress: Callable[[int], None] | None = None) -> int:
    """Write all readings by time and wallet; return how many rows. `progress` hears how many are written so far.

    An unallocated category is an empty balance, one that wasn't read is no row.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    num_rows = 0
    second, instant = -1, ""
    with database.read() as conn:
        names = {wallet_id: name for name, wallet_id in wallets.ids(conn).items()}
        for row in snapshots.between(conn, since=0, until=_END_OF_TIME):
            if row.at != second:
                second = row.at
                instant = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
                if progress is not None:
                    progress(num_rows)
            for category, reading in row.readings.items():
                if reading is not Absent.UNREAD:
                    balance = "" if isinstance(reading, Absent) else reading
                    writer.writerow((instant, names[row.wallet_id], category.value, balance))
                    num_rows += 1
    return num_rows
