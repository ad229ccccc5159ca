"""Five thousand threshold rows in and out of sheets, compared with the time of openpyxl to read the same workbook.

python benchmarks/sheets.py
"""

import io
import sys
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import openpyxl

from balancebot.domain.balance import WalletName
from balancebot.domain.threshold import ThresholdRow
from balancebot.sheet_writer import write_csv
from balancebot.thresholds.sheet import cells_of, import_sheet, read_limits, write_limits

ROWS = 5_000


def timed(what: str, act, rounds: int = 3):
    """Print the lowest CPU time of `rounds` calls, in milliseconds, and return the last answer."""
    least, answer = float("inf"), None
    for _ in range(rounds):
        began = process_time()
        answer = act()
        least = min(least, process_time() - began)
    print(f"{what:<42} {least * 1000:8.0f} ms")
    return answer


def main() -> None:
    known = [WalletName(f"acme/app{number}") for number in range(ROWS)]
    rows = [
        ThresholdRow(wallet=name, warning_below=1000, critical_below=10, note="call sales") for name in known
    ]
    text = timed("write CSV", lambda: write_csv(cells_of(rows))).encode()
    book = timed("write XLSX", lambda: write_limits(cells_of(rows)))
    timed(
        "openpyxl alone walks the XLSX",
        lambda: [list(row) for row in openpyxl.load_workbook(io.BytesIO(book), read_only=True).active],
    )
    sheet = timed("read XLSX", lambda: read_limits(book)[0])
    timed("judge and compare its rows", lambda: import_sheet(sheet, [], known))
    timed("read, judge and compare the CSV", lambda: import_sheet(read_limits(text)[0], [], known))


if __name__ == "__main__":
    main()
