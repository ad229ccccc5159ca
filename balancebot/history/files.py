"""Past readings as CSV files: parsed with all faults, imported completely or not at all, exported."""

import csv
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import BinaryIO, NamedTuple, TextIO

from balancebot.domain.balance import (
    MAX_BALANCE,
    Absent,
    BalanceKey,
    Category,
    Reading,
    Readings,
    WalletName,
    account_of,
)
from balancebot.domain.number_text import as_count, quoted, read_number
from balancebot.domain.sentence import NO_SENTENCE, Sentence, did_you_mean, verbatim
from balancebot.domain.threshold_cell import CATEGORY_WORDS
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.refit import refit_models
from balancebot.estimates.stored import estimate_again
from balancebot.history.rebook import rebook_account
from balancebot.sheet_writer import guarded, unguarded
from balancebot.sheets import InputFault, SheetRow, read_sheet
from balancebot.store import estimates, readings, wallets, wrong_readings
from balancebot.store.database import Database
from balancebot.store.readings import SnapshotRow

_CATEGORIES = tuple(Category)
_UNALLOCATED = -1


class ReadingBuffer:
    """Readings by second, wallet and category; if there are two for the same, the later one counts."""

    def __init__(self) -> None:
        self._at = array("q")
        self._balance = array("q")
        self._value = array("q")
        self._indices: dict[BalanceKey, int] = {}
        self._positive: set[int] = set()

    def __len__(self) -> int:
        return len(self._at)

    def add(self, at: int, balance: BalanceKey, reading: Reading) -> None:
        """Add one reading of an epoch second, which must not be UNREAD."""
        index = self._indices.setdefault(balance, len(self._indices))
        value = reading if isinstance(reading, int) else _UNALLOCATED
        if value > 0:
            self._positive.add(index)
        self._at.append(at)
        self._balance.append(index)
        self._value.append(value)

    @property
    def wallets(self) -> list[WalletName]:
        """The wallets, in the order of the file."""
        return list(dict.fromkeys(balance.wallet for balance in self._indices))

    @property
    def ever_positive(self) -> list[BalanceKey]:
        """The balances that are above 0 in any reading."""
        return [balance for balance, index in self._indices.items() if index in self._positive]

    @property
    def since(self) -> int:
        """The first epoch second."""
        return min(self._at)

    @property
    def until(self) -> int:
        """The last epoch second."""
        return max(self._at)

    def snapshots(self, ids: Mapping[WalletName, int]) -> Iterator[SnapshotRow]:
        """Yield the readings as snapshots, ordered by time."""
        import numpy as np  # lazy: numpy

        places = [
            (ids[balance.wallet], _CATEGORIES.index(balance.category)) for balance in self._indices
        ] or [(0, 0)]
        wallet_ids, categories = (np.array(column, dtype=np.int64) for column in zip(*places, strict=True))
        at, balance, value = (
            np.frombuffer(column, dtype=np.int64) for column in (self._at, self._balance, self._value)
        )
        wallet_of, category_of = wallet_ids[balance], categories[balance]
        order = np.lexsort((wallet_of, at))  # a stable sort: later rows stay later
        readings: list[Reading] = [Absent.UNREAD] * len(_CATEGORIES)
        key: tuple[int, int] | None = None
        for start in range(0, len(order), _SLICE):
            part = order[start : start + _SLICE]
            columns = (at[part], wallet_of[part], category_of[part], value[part])
            for second, wallet_id, category, number in zip(
                *(column.tolist() for column in columns), strict=True
            ):
                if key != (second, wallet_id):
                    if key is not None:
                        yield SnapshotRow(*key, Readings(*readings))
                    key = (second, wallet_id)
                    readings = [Absent.UNREAD] * len(_CATEGORIES)
                readings[category] = Absent.UNALLOCATED if number == _UNALLOCATED else number
        if key is not None:
            yield SnapshotRow(*key, Readings(*readings))


_SLICE = 100_000


COLUMNS = ("observed_at", "wallet", "category", "balance")

_HEADERS = {name: name for name in COLUMNS} | {"钱包": "wallet", "类型": "category", "余量": "balance"}
_MAX_DIGITS = 19
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_OUT_OF_RANGE = "must lie between the years 2000 and 2100"


class HistoryRow(NamedTuple):
    """One past reading."""

    at: float
    """Epoch seconds."""
    balance: BalanceKey
    reading: Reading
    line: int
    """The header is line 1."""


def open_history(file: BinaryIO) -> Iterator[SheetRow | InputFault]:
    """Read a CSV file of any length, or a workbook, with the columns of an export."""
    names = ({name for name, column in _HEADERS.items() if column == wanted} for wanted in COLUMNS)
    return read_sheet(file, names, max_rows=None)


def read_history(sheet: Iterable[SheetRow | InputFault]) -> Iterator[HistoryRow | InputFault]:
    """Yield a reading or a fault for each row below the header. A wrong header or an unreadable file ends it."""
    rows = iter(sheet)
    header = next(rows, SheetRow(1, ()))
    if isinstance(header, InputFault):
        yield from (header, *(fault for fault in rows if isinstance(fault, InputFault)))
        return
    names = [
        _HEADERS.get(cell.strip().casefold().replace(" ", "_"), cell.strip().casefold())
        for cell in header.cells
    ]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        yield from (
            InputFault(
                line=header.line,
                column=column,
                message=verbatim(f"the column is missing{did_you_mean(column, names[:_MAX_GUESSES])}"),
            )
            for column in missing
        )
        return
    places = [names.index(column) for column in COLUMNS]
    for row in rows:
        if isinstance(row, InputFault):
            yield row
        elif len(row.cells) > len(names):
            yield InputFault(
                line=row.line, message=verbatim(f"has {len(row.cells)} cells, the header has {len(names)}")
            )
        else:
            # in a workbook, a row may have fewer cells than the header
            cells = (*row.cells, *("" for _ in range(len(names) - len(row.cells))))
            yield _row(row, [unguarded(cells[place].strip()) for place in places])


def _row(row: SheetRow, cells: list[str]) -> HistoryRow | InputFault:
    observed_at, wallet, category, balance = cells
    at = _instant(observed_at)
    if isinstance(at, str):
        return InputFault(
            line=row.line, column="observed_at", message=verbatim(f"{quoted(observed_at)} {at}")
        )
    if not wallet:
        return InputFault(line=row.line, column="wallet", message=verbatim("is empty"))
    known = CATEGORY_WORDS.get(category.casefold())
    if known is None:
        return InputFault(
            line=row.line,
            column="category",
            message=verbatim(
                f"{quoted(category)} is none of {', '.join(Category)}{did_you_mean(category, Category)}"
            ),
        )
    reading = _reading(balance, comma_is_decimal=row.comma_is_decimal)
    if isinstance(reading, str):
        return InputFault(line=row.line, column="balance", message=verbatim(reading))
    return HistoryRow(at, BalanceKey(WalletName(wallet), known), reading, row.line)


def _instant(text: str) -> float | str:
    """Return epoch seconds, or what is wrong."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        seconds = at.timestamp()
    except ValueError:
        return "is no instant with its offset, such as 2026-11-23T09:55:00Z"
    except OverflowError:
        return _OUT_OF_RANGE
    return seconds if _EARLIEST <= seconds < _LATEST else _OUT_OF_RANGE


def _reading(text: str, *, comma_is_decimal: bool) -> Reading | str:
    """Return the reading, or what is wrong."""
    if not text:
        return Absent.UNALLOCATED
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:  # a shortcut for nearly all rows
        value = int(text)
        return value if value <= MAX_BALANCE else f"must be at most {MAX_BALANCE}"
    number = read_number(text, is_count=True, comma_is_decimal=comma_is_decimal)
    count = as_count(number, text) if isinstance(number, Decimal) else number
    if count is None:
        return f"must be a whole number of messages or empty, not {quoted(text)}"
    return str(count) if isinstance(count, Sentence) else count


MAX_FAULTS = 100
"""Further faults are counted, not listed."""

_BATCH = 20_000
"""Snapshots per transaction, which takes less than a second, so that other writers don't wait long."""
_MAX_GUESSES = 10
"""For how many unknown names the nearest known one is searched."""

Progress = Callable[[float], None]
"""Called with the part that is done, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What was imported."""

    num_rows: int
    num_snapshots: int
    wallets: tuple[WalletName, ...]
    since: datetime | None
    """The first instant; None = the file had no rows."""
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRefused:
    """Nothing was imported."""

    faults: tuple[InputFault, ...]
    """The first `MAX_FAULTS`, in the order of the file."""
    num_faults: int


def import_history(
    database: Database,
    sheet: Iterable[SheetRow | InputFault],
    *,
    configured: Collection[WalletName],
    estimator: Estimator,
    now: datetime,
    progress: Progress | None = None,
) -> ImportReport | ImportRefused:
    """Import the rows of a sheet, its header first. Wallets must be configured, or known from earlier readings.

    If two rows are for the same second, the later one counts. The whole sheet is refused if one row is invalid. If the
    database fails midway, a part has been stored, and repeating the import completes it.
    """
    report = progress or (lambda _: None)
    with database.read() as conn:
        before = wallets.ids(conn)
    buffer = _read(sheet, frozenset(configured) | before.keys(), now)
    if isinstance(buffer, ImportRefused):
        return buffer
    report(0.4)
    with database.write() as conn:
        wallets.add_known(conn, [name for name in buffer.wallets if name not in before], now=now)
        ids = wallets.ids(conn)
        estimates.mark_positive(conn, [(ids[wallet], category) for wallet, category in buffer.ever_positive])
    num_snapshots = 0
    rows = buffer.snapshots(ids)
    while batch := list(islice(rows, _BATCH)):
        with database.write() as conn:
            readings.merge_snapshots(conn, batch)
        num_snapshots += len(batch)
        report(0.4 + 0.2 * min(1.0, num_snapshots / len(buffer)))
    accounts = sorted({account_of(name) for name in buffer.wallets})
    for done, account in enumerate(accounts):
        latest = rebook_account(
            database,
            account,
            since=buffer.since,
            until=buffer.until,
            now=now,
            zone=estimator.zone,
            progress=_between(
                report, 0.6 + 0.4 * done / len(accounts), 0.6 + 0.4 * (done + 1) / len(accounts)
            ),
        )
        with database.write() as conn:
            readings.catch_up(
                conn, ((row.wallet_id, row.readings, row.observed_at) for row in latest.values())
            )
    _estimate(database, accounts, estimator, now)
    return ImportReport(
        num_rows=len(buffer),
        num_snapshots=num_snapshots,
        wallets=tuple(sorted(buffer.wallets)),
        since=datetime.fromtimestamp(buffer.since, UTC) if len(buffer) else None,
        until=datetime.fromtimestamp(buffer.until, UTC) if len(buffer) else None,
    )


def _estimate(database: Database, accounts: Collection[str], estimator: Estimator, now: datetime) -> None:
    """Fit the usage models of accounts that were booked again, and store their estimates, which `status` shows.

    The import of one wallet affects its whole account, because transfers may be recognised.
    """
    with database.read() as conn:
        rows = wallets.of_accounts(conn, accounts, configured_only=False)
    refit_models(database, rows, zone=estimator.zone, from_scratch=True)
    with database.write() as conn:
        estimate_again(conn, rows, estimator, now=now)


def _between(report: Progress, begin: float, end: float) -> Progress:
    """Return a function that reports the progress of one part of the whole."""
    return lambda done: report(begin + (end - begin) * done)


def _read(
    sheet: Iterable[SheetRow | InputFault], known: Collection[WalletName], now: datetime
) -> ReadingBuffer | ImportRefused:
    buffer = ReadingBuffer()
    faults: list[InputFault] = []
    num_faults = 0
    check = _RowChecks(known, now)
    for row in read_history(sheet):
        fault = row if isinstance(row, InputFault) else check(row)
        if fault is not None:
            num_faults += 1
            if len(faults) < MAX_FAULTS:
                faults.append(fault)
        elif isinstance(row, HistoryRow):
            buffer.add(int(row.at), row.balance, row.reading)
    return ImportRefused(faults=tuple(faults), num_faults=num_faults) if faults else buffer


class _RowChecks:
    """Finds faults in a row whose cells are valid."""

    def __init__(self, known: Collection[WalletName], now: datetime) -> None:
        self._known = known
        self._now = now.timestamp()
        self._unknown: dict[WalletName, str] = {}

    def __call__(self, row: HistoryRow) -> InputFault | None:
        wallet = row.balance.wallet
        if wallet not in self._known:
            return InputFault(line=row.line, column="wallet", message=verbatim(self._unknown_wallet(wallet)))
        if row.at > self._now:
            return InputFault(line=row.line, column="observed_at", message=verbatim("lies in the future"))
        return None

    def _unknown_wallet(self, wallet: WalletName) -> str:
        if wallet not in self._unknown:
            # each search takes tens of milliseconds with 10,000 wallets
            hint = did_you_mean(wallet, self._known) if len(self._unknown) < _MAX_GUESSES else NO_SENTENCE
            if len(self._unknown) >= MAX_FAULTS:
                return f"no wallet {quoted(wallet)[1:-1]} is configured"
            self._unknown[wallet] = f"no wallet {quoted(wallet)[1:-1]} is configured{hint}"
        return self._unknown[wallet]


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME = 2**40


def export_history(
    database: Database,
    file: TextIO,
    *,
    remarks: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write all readings, ordered by time and wallet; return the number of rows.

    `progress` is called with the number written so far. An unallocated category has an empty balance; one that wasn't
    read has no row. `remarks` adds a column, ignored by imports, that says which readings the next one took back.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*COLUMNS, "remark") if remarks else COLUMNS)
    num_rows = 0
    second, instant = -1, ""
    with database.read() as conn:
        ids = wallets.ids(conn)
        names = {wallet_id: guarded(name) for name, wallet_id in ids.items()}
        wrong = {
            (int(found.at), ids.get(found.balance.wallet), found.balance.category)
            for found in (wrong_readings.between(conn, since=_BEGINNING) if remarks else ())
        }
        for row in readings.snapshots_between(conn, since=0, until=_END_OF_TIME):
            if row.at != second:
                second = row.at
                instant = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
                if progress is not None:
                    progress(num_rows)
            for category, reading in row.readings.items():
                if reading is not Absent.UNREAD:
                    balance = "" if isinstance(reading, Absent) else reading
                    remark = "wrong reading" if (row.at, row.wallet_id, category) in wrong else ""
                    writer.writerow(
                        (instant, names[row.wallet_id], category.value, balance, *([remark] * remarks))
                    )
                    num_rows += 1
    return num_rows
