"""The results of one cycle as they come, in batches: nobody waits long for a batch because one wallet is slow.

A thread feeds the answers of each call to the source into one queue; the cycle takes them out.
"""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from balancebot.domain.balance import WalletName
from balancebot.ports import BalanceSource, FetchResult

_MOST = 200
"""Answers in a batch: they are one transaction, and if all of them open an alert others wait for a second."""


class FetchStream:
    """Asks the source for wallets and hands out what it answers. Used by one thread, once."""

    def __init__(self, source: BalanceSource, *, budget: timedelta, linger: timedelta) -> None:
        """`budget` bounds each call to the source; a batch is handed out `linger` after its first answer."""
        self._source = source
        self._budget = budget
        self._linger = linger.total_seconds()
        self._answers: queue.SimpleQueue[FetchResult | _End] = queue.SimpleQueue()
        self._num_calls = 0

    def ask(self, wallets: Sequence[WalletName]) -> None:
        """Start reading `wallets`, also while batches are being taken out."""
        if wallets:
            self._num_calls += 1
            threading.Thread(target=self._feed, args=(wallets,), name="fetch", daemon=True).start()

    def batches(self) -> Iterator[list[FetchResult]]:
        """Yield what was answered, until all that was asked for is; raises what the source raised (a bug)."""
        batch: list[FetchResult] = []
        due = 0.0
        while self._num_calls:
            try:
                answer = self._answers.get(timeout=max(0.0, due - time.monotonic()) if batch else None)
            except queue.Empty:
                yield batch
                batch = []
                continue
            if isinstance(answer, _End):
                self._num_calls -= 1
                if answer.error is not None:
                    raise answer.error
                if not self._num_calls and batch:
                    yield batch
                    batch = []
                continue
            if not batch:
                due = time.monotonic() + self._linger
            batch.append(answer)
            if len(batch) == _MOST:
                yield batch
                batch = []

    def _feed(self, wallets: Sequence[WalletName]) -> None:
        try:
            for result in self._source.fetch(wallets, budget=self._budget):
                self._answers.put(result)
        except Exception as error:  # noqa: BLE001 -- carried to the thread that asked
            self._answers.put(_End(error))
        else:
            self._answers.put(_End(None))


class _End:
    """A call to the source is over."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
