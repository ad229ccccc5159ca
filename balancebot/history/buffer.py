"""Millions of past readings in little room: three arrays, put into the order of time when all are there."""

from array import array
from collections.abc import Iterator, Mapping

from balancebot.domain.balance import Absent, BalanceKey, Category, Reading, Readings, WalletName
from balancebot.store.snapshots import SnapshotRow

_CATEGORIES = tuple(Category)
_UNALLOCATED = -1


class ReadingBuffer:
    """Readings by second, wallet and category; of two of the same the one added later stands."""

    def __init__(self) -> None:
        self._at = array("q")
        self._balance = array("q")
        self._value = array("q")
        self._indices: dict[BalanceKey, int] = {}
        self._positive: set[int] = set()

    def __len__(self) -> int:
        return len(self._at)

    def add(self, at: int, balance: BalanceKey, reading: Reading) -> None:
        """Add one reading of an epoch second; an unread one can't be."""
        index = self._indices.setdefault(balance, len(self._indices))
        value = reading if isinstance(reading, int) else _UNALLOCATED
        if value > 0:
            self._positive.add(index)
        self._at.append(at)
        self._balance.append(index)
        self._value.append(value)

    @property
    def wallets(self) -> list[WalletName]:
        """Whose readings there are, in the order in which they came."""
        return list(dict.fromkeys(balance.wallet for balance in self._indices))

    @property
    def ever_positive(self) -> list[BalanceKey]:
        """The balances that are above 0 in some reading."""
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
        """Yield the readings as snapshots, in the order of time."""
        import numpy as np

        places = [
            (ids[balance.wallet], _CATEGORIES.index(balance.category)) for balance in self._indices
        ] or [(0, 0)]
        wallet_ids, categories = (np.array(column, dtype=np.int64) for column in zip(*places, strict=True))
        at, balance, value = (
            np.frombuffer(column, dtype=np.int64) for column in (self._at, self._balance, self._value)
        )
        wallet_of, category_of = wallet_ids[balance], categories[balance]
        order = np.lexsort((wallet_of, at))  # stable: later ones stay later
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
