"""Past readings from a file: taken whole or refused whole, and the same file twice changes nothing.

Snapshots are merged into those that stand. No alert is judged, and nothing is shown as read that wasn't.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from balancebot.domain.balance import WalletName, account_of
from balancebot.domain.history_sheet import HistoryFault, HistoryRow, read_history
from balancebot.domain.spelling import did_you_mean
from balancebot.storage import balances, readings, snapshots, wallets
from balancebot.storage.database import Database
from balancebot.usecases.estimating.beliefs import believe
from balancebot.usecases.estimating.estimates import Estimator
from balancebot.usecases.estimating.refit_models import refit_models
from balancebot.usecases.history.reading_pile import ReadingPile
from balancebot.usecases.history.rebook_history import rebook_account

MAX_FAULTS = 100
"""More faults than these are counted, not listed."""

_BATCH = 20_000
"""Snapshots per transaction: less than a second, so that others get their turn."""
_MAX_GUESSES = 10
"""For how many unknown wallets the nearest known one is looked up."""

Progress = Callable[[float], None]
"""Told how much is done, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was taken."""

    num_rows: int
    num_snapshots: int
    wallets: tuple[WalletName, ...]
    since: datetime | None
    """The first instant; None = the file had no rows."""
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing was taken."""

    faults: tuple[HistoryFault, ...]
    """The first `MAX_FAULTS`, in the order of the file."""
    num_faults: int


def import_history(
    database: Database,
    lines: Iterable[str],
    *,
    configured: Collection[WalletName],
    estimator: Estimator,
    now: datetime,
    progress: Progress | None = None,
) -> Imported | Refused:
    """Take the rows of a CSV file, its header included, of wallets that are configured or were once read.

    Of two rows of the same second the later one stands. The whole is refused when one row can't be taken. When the
    database fails midway a part stays: the same import once more completes it.
    """
    tell = progress or (lambda _: None)
    with database.read() as conn:
        before = wallets.ids(conn)
    pile = _read(lines, frozenset(configured) | before.keys(), now)
    if isinstance(pile, Refused):
        return pile
    tell(0.4)
    with database.write() as conn:
        wallets.add_known(conn, [name for name in pile.wallets if name not in before], now=now)
        ids = wallets.ids(conn)
        balances.mark_positive(conn, [(ids[wallet], category) for wallet, category in pile.ever_positive])
    num_snapshots = 0
    rows = pile.snapshots(ids)
    while batch := list(islice(rows, _BATCH)):
        with database.write() as conn:
            snapshots.merge(conn, batch)
        num_snapshots += len(batch)
        tell(0.4 + 0.2 * min(1.0, num_snapshots / len(pile)))
    accounts = sorted({account_of(name) for name in pile.wallets})
    for done, account in enumerate(accounts):
        latest = rebook_account(
            database,
            account,
            since=pile.since,
            until=pile.until,
            progress=_between(tell, 0.6 + 0.4 * done / len(accounts), 0.6 + 0.4 * (done + 1) / len(accounts)),
        )
        with database.write() as conn:
            readings.catch_up(
                conn, ((row.wallet_id, row.readings, row.observed_at) for row in latest.values())
            )
    _estimate(database, accounts, estimator, now)
    return Imported(
        num_rows=len(pile),
        num_snapshots=num_snapshots,
        wallets=tuple(sorted(pile.wallets)),
        since=datetime.fromtimestamp(pile.since, UTC) if len(pile) else None,
        until=datetime.fromtimestamp(pile.until, UTC) if len(pile) else None,
    )


def _estimate(database: Database, accounts: Collection[str], estimator: Estimator, now: datetime) -> None:
    """Make the burn models of accounts that were booked anew, and keep what they say: `status` asks nobody.

    The import of one wallet changes what is known of the whole account, for its transfers.
    """
    with database.read() as conn:
        rows = wallets.of_accounts(conn, accounts, configured_only=False)
    refit_models(database, rows, zone=estimator.zone, anew=True)
    with database.write() as conn:
        believe(conn, rows, estimator, now=now)


def _between(tell: Progress, begin: float, end: float) -> Progress:
    """Return what tells the progress of one part of the whole."""
    return lambda done: tell(begin + (end - begin) * done)


def _read(lines: Iterable[str], known: Collection[WalletName], now: datetime) -> ReadingPile | Refused:
    pile = ReadingPile()
    faults: list[HistoryFault] = []
    num_faults = 0
    examine = _Examiner(known, now)
    for row in read_history(lines):
        fault = row if isinstance(row, HistoryFault) else examine(row)
        if fault is not None:
            num_faults += 1
            if len(faults) < MAX_FAULTS:
                faults.append(fault)
        elif isinstance(row, HistoryRow):
            pile.add(int(row.at), row.balance, row.reading)
    return Refused(faults=tuple(faults), num_faults=num_faults) if faults else pile


class _Examiner:
    """Says what is wrong with a row that is well written."""

    def __init__(self, known: Collection[WalletName], now: datetime) -> None:
        self._known = known
        self._now = now.timestamp()
        self._unknown: dict[WalletName, str] = {}

    def __call__(self, row: HistoryRow) -> HistoryFault | None:
        wallet = row.balance.wallet
        if wallet not in self._known:
            return HistoryFault(line=row.line, column="wallet", message=self._who(wallet))
        if row.at > self._now:
            return HistoryFault(line=row.line, column="observed_at", message="lies in the future")
        if row.at < 0:
            return HistoryFault(line=row.line, column="observed_at", message="lies before 1970")
        return None

    def _who(self, wallet: WalletName) -> str:
        if wallet not in self._unknown:
            # each look costs tens of milliseconds at 10,000 wallets
            hint = did_you_mean(wallet, self._known) if len(self._unknown) < _MAX_GUESSES else ""
            self._unknown[wallet] = f"no wallet {wallet} is configured{hint}"
        return self._unknown[wallet]
