"""Read balances from JSMS: many wallets at once, each a Snapshot or a SourceError, streamed as they arrive.

`JsmsSource` is synchronous and safe to call from several threads; behind it one thread runs one event loop for the
source's whole life. The number and rate of requests are limited, and so is the time of each request and of a whole call:
`fetch` passes tasks to the pool (`pool.py`), whose workers call `_read`: it makes one request (`transport.py`), parses
the answer (`answer.py`), and delivers a result to the caller or queues a retry.
"""

import asyncio
import logging
import queue
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import assert_never

from balancebot.config import AccountConfig, PollConfig, Proxy
from balancebot.domain.balance import Snapshot, WalletName, account_of
from balancebot.domain.sentence import NO_SENTENCE, Sentence, sentence
from balancebot.jsms.answer import AnswerFault, ParsedBalances, Understood, parse_answer
from balancebot.jsms.endpoint import Endpoint, Target, endpoints_of, oddities, redactor_of, targets_of
from balancebot.jsms.pool import FetchCall, FetchPool, FetchTask, SuspectRecord
from balancebot.jsms.transport import Transport
from balancebot.ports import Clock, FetchResult, SourceError, SourceErrorKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How often and how soon a temporary fault is retried within one call."""

    attempts: int = 3
    """In total. After a timeout at most two, or one if the wallet's last reading timed out as well."""
    first_wait: timedelta = timedelta(seconds=0.5)
    """Doubles with each attempt. A random part, up to half, is subtracted, so that retries don't coincide."""
    rate_limited_wait: timedelta = timedelta(seconds=5)
    """The same after "out of freq" without a `Retry-After`."""
    longest_wait: timedelta = timedelta(seconds=30)
    """If a server asks for a longer wait, there is no retry in this call; its `Retry-After` is put into the error."""
    most_backed_off: timedelta = timedelta(minutes=5)
    """The longest pause for a wallet that is rate limited repeatedly, unless its server asks for more."""


_NOT_CONFIGURED = AnswerFault(
    kind=SourceErrorKind.CONFIGURATION, message=sentence("no key pair is configured for it")
)
_HOST_GIVEN_UP = AnswerFault(
    kind=SourceErrorKind.NETWORK, message=sentence("not asked: requests there are no longer answered")
)
_NO_TURN = AnswerFault(
    kind=SourceErrorKind.TIMEOUT,
    message=sentence("not asked: no answer lately, and too many others are waiting without an answer, too"),
)
_CUT_OFF = AnswerFault(kind=SourceErrorKind.TIMEOUT, message=NO_SENTENCE)
"""An internal result: the request was stopped to make room for others, and the task is queued again."""


class JsmsSource:
    """A `BalanceSource` over HTTP."""

    def __init__(
        self,
        endpoints: Mapping[WalletName, Endpoint],
        *,
        clock: Clock,
        timeout: timedelta = timedelta(seconds=10),
        concurrency: int = 50,
        max_rate: float | None = None,
        ca_bundle: Path | None = None,
        proxy: Proxy | None = None,
        retrying: Retrying | None = None,
    ) -> None:
        """The parameters are those of `[poll]`; nothing is started or connected before the first `fetch`.

        `timeout` limits one whole request; `max_rate` is in requests per second to one base URL; `ca_bundle` None means
        the system's; `proxy` None means the environment's.
        Raises ValueError for a CA bundle that can't be read and for an invalid base URL.
        """
        self._clock = clock
        self._timeout = timeout.total_seconds()
        self._given_up_after = max(20, 2 * concurrency)
        self._retrying = retrying or Retrying()
        self._transport = Transport(ca_bundle=ca_bundle, proxy=proxy)
        self._targets = targets_of(endpoints)
        self._redact = redactor_of(endpoints)
        self._rejected: set[WalletName] = set()
        self._pool = FetchPool(
            work=self._read,
            give_up=lambda task: self._deliver_fault(task, _NO_TURN),
            at_end=self._transport.close,
            num_workers=concurrency,
            max_rate=max_rate,
            longest_wait=2 * timeout.total_seconds(),
        )

    def configure(self, endpoints: Mapping[WalletName, Endpoint]) -> None:
        """Replace all endpoints; a running call uses the new ones from its next request on."""
        before, self._targets = self._targets, targets_of(endpoints)
        self._redact = redactor_of(endpoints)
        self._pool.forget_records(
            [
                wallet
                for wallet, target in self._targets.items()
                if wallet not in before or before[wallet].endpoint != target.endpoint
            ]
        )

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[FetchResult]:
        """Read `wallets` and yield one result for each, as they arrive; see `BalanceSource.fetch`.

        The requests start at once, and `budget` counts from now, not from the first `next`.
        Raises RuntimeError after `close`.
        """
        targets = self._targets
        call = FetchCall(deadline=time.monotonic() + budget.total_seconds())
        pending = set(wallets)
        by_host: dict[str, list[FetchTask]] = {}
        for wallet in dict.fromkeys(wallets):
            if wallet in targets:
                base_url = targets[wallet].endpoint.base_url
                task = FetchTask(call=call, wallet=wallet, base_url=base_url)
                by_host.setdefault(base_url, []).append(task)
            else:
                call.results.put([self._error(wallet, _NOT_CONFIGURED)])
        self._pool.submit(call, by_host)
        return self._results(call, pending, budget)

    def close(self) -> None:
        """Close the connections and end the thread; running calls yield timeouts for the rest. Idempotent."""
        self._pool.close()

    def _results(self, call: FetchCall, pending: set[WalletName], budget: timedelta) -> Iterator[FetchResult]:
        try:
            while pending:
                try:
                    results = call.results.get(timeout=max(call.deadline - time.monotonic(), 0))
                except queue.Empty:
                    break
                if not results:
                    break
                pending.difference_update(result.wallet for result in results)
                yield from results
            late = AnswerFault(
                kind=SourceErrorKind.TIMEOUT,
                message=sentence(
                    "not read within the %(seconds)s s for all wallets", seconds=f"{budget.total_seconds():g}"
                ),
            )
            for wallet in sorted(pending):
                yield self._error(wallet, late)
        finally:
            self._pool.abandon(call)

    # On the pool's event loop

    async def _read(self, task: FetchTask) -> None:
        """Make one request; deliver the result, or queue the task again."""
        try:
            await self._read_once(task)
        except Exception as error:  # a bug must neither end a worker nor make the caller wait
            log.exception("source.internal_error", extra={"wallet": task.wallet})
            fault = AnswerFault(
                kind=SourceErrorKind.SCHEMA,
                message=sentence("unexpected error: %(name)s", name=type(error).__name__),
            )
            self._deliver_fault(task, fault)

    async def _read_once(self, task: FetchTask) -> None:
        target = self._targets.get(task.wallet)
        unanswered = task.call.unanswered
        if target is None:
            self._deliver_fault(task, _NOT_CONFIGURED)
            return
        if unanswered[task.base_url] >= self._given_up_after:
            # a dead host must cost seconds, not the whole budget
            self._pool.note_silence(task.base_url)
            self._deliver_fault(task, _HOST_GIVEN_UP)
            return
        started_at = time.monotonic()
        outcome = await self._request(task, target)
        seconds = time.monotonic() - started_at
        if not _is_silence(outcome):
            unanswered[task.base_url] = 0
            self._pool.note_answer(task, seconds)
        elif task.attempt == 1:  # only failing wallets are retried: retries say nothing about the host
            unanswered[task.base_url] += 1
        match outcome:
            case ParsedBalances():
                self._rejected.discard(task.wallet)
                self._pool.note_good(task, seconds)
                task.call.deliver(
                    Snapshot(
                        wallet=task.wallet,
                        observed_at=self._clock.now(),
                        readings=outcome.readings,
                        unknown_fields=outcome.unknown_fields,
                    )
                )
            case AnswerFault() if outcome is _CUT_OFF:
                self._pool.record_suspect(task, is_slow=True)
                self._pool.retry(task)
            case AnswerFault():
                self._settle_fault(task, target, outcome)
            case _:
                assert_never(outcome)

    def _settle_fault(self, task: FetchTask, target: Target, fault: AnswerFault) -> None:
        """Queue the task again if that may help, otherwise deliver the fault."""
        before = self._pool.suspect_record(task.wallet)
        record = self._pool.record_suspect(
            task,
            is_slow=fault.kind is SourceErrorKind.TIMEOUT,
            is_rate_limited=fault.kind is SourceErrorKind.RATE_LIMITED,
        )
        wait = self._wait_before_retry(fault, task, before)
        if wait is not None:
            task.attempt += 1
            self._pool.retry(task, after=wait)
            return
        if fault.kind is SourceErrorKind.RATE_LIMITED:
            doublings = min(record.num_rate_limited - 1, 30)
            back_off = min(self._retrying.rate_limited_wait * 2.0**doublings, self._retrying.most_backed_off)
            fault = replace(fault, retry_after=max(back_off, fault.retry_after or timedelta()))
        self._deliver_fault(task, self._with_context(task.wallet, target, fault))

    async def _request(self, task: FetchTask, target: Target) -> Understood:
        task.is_cut_off = False
        task.limit = limit = asyncio.timeout_at(min(time.monotonic() + self._timeout, task.call.deadline))
        try:
            async with limit:
                task.call.under_way.add(limit)
                reply = await self._transport.get(target.request, base_url=target.endpoint.base_url)
        except TimeoutError:
            if task.is_cut_off:
                return _CUT_OFF
            return AnswerFault(
                kind=SourceErrorKind.TIMEOUT,
                message=sentence("no complete answer within %(seconds)s s", seconds=f"{self._timeout:g}"),
            )
        finally:
            task.call.under_way.discard(limit)
        if isinstance(reply, AnswerFault):
            return reply
        return parse_answer(reply, target.endpoint.kind, now=self._clock.now(), redact=self._redact)

    def _wait_before_retry(
        self, fault: AnswerFault, task: FetchTask, before: SuspectRecord | None
    ) -> float | None:
        """Return the seconds to wait before the next attempt; None if there must be none."""
        rules = self._retrying
        if fault.kind.permanent:
            return None
        attempts = rules.attempts
        if fault.kind is SourceErrorKind.TIMEOUT:
            attempts = min(attempts, 1 if before is not None and before.is_slow else 2)
        elif fault.kind is SourceErrorKind.RATE_LIMITED and task.attempt == 1 and _was_rate_limited(before):
            attempts = 1
        if task.attempt >= attempts or task.call.unanswered[task.base_url] >= self._given_up_after // 2:
            return None
        first = rules.rate_limited_wait if fault.kind is SourceErrorKind.RATE_LIMITED else rules.first_wait
        jitter = random.random()  # noqa: S311 -- keeps retries from coinciding; no secret
        if fault.retry_after is None:
            wait = first * 2.0 ** (task.attempt - 1) * (1 - jitter / 2)
        else:
            wait = max(fault.retry_after, rules.first_wait) * (1 + jitter / 4)
        if wait > rules.longest_wait or time.monotonic() + wait.total_seconds() >= task.call.deadline:
            return None
        return wait.total_seconds()

    def _deliver_fault(self, task: FetchTask, fault: AnswerFault) -> None:
        task.call.deliver(self._error(task.wallet, fault))

    def _error(self, wallet: WalletName, fault: AnswerFault) -> SourceError:
        return SourceError(
            wallet=wallet,
            at=self._clock.now(),
            kind=fault.kind,
            message=sentence("%(wallet)s: %(fault)s", wallet=wallet, fault=_with_quote(fault)),
            retry_after=fault.retry_after,
        )

    def _with_context(self, wallet: WalletName, target: Target, fault: AnswerFault) -> AnswerFault:
        """Add the host to a fault, and for rejected credentials what looks wrong about them."""
        message = sentence("%(host)s: %(fault)s", host=target.host, fault=fault.message)
        if fault.kind is SourceErrorKind.CREDENTIALS:
            self._rejected.add(wallet)
            for hint in (self._looks_swapped(wallet, target), *oddities(target.endpoint)):
                if hint:
                    message = sentence("%(fault)s; %(hint)s", fault=message, hint=hint)
        return replace(fault, message=message)

    def _looks_swapped(self, wallet: WalletName, target: Target) -> Sentence:
        """Return why the pairs look swapped: one key is configured as both kinds, or both kinds are rejected; or ''."""
        if target.twin is not None:
            return sentence(
                "they look swapped: %(wallet)s is configured with the same key", wallet=target.twin
            )
        kinds = {
            self._targets[other].endpoint.kind
            for other in self._rejected
            if other in self._targets and account_of(other) == account_of(wallet)
        }
        if len(kinds) < 2:
            return NO_SENTENCE
        return sentence("they look swapped: the account's pair and an app's are both rejected")


def _is_silence(outcome: Understood) -> bool:
    return isinstance(outcome, AnswerFault) and outcome.kind in {
        SourceErrorKind.TIMEOUT,
        SourceErrorKind.NETWORK,
    }


def _was_rate_limited(record: SuspectRecord | None) -> bool:
    return record is not None and record.num_rate_limited > 0


def _with_quote(fault: AnswerFault) -> Sentence:
    if not fault.quote:
        return fault.message
    return sentence("%(fault)s (it said “%(quote)s”)", fault=fault.message, quote=fault.quote)


def build_source(poll: PollConfig, accounts: Iterable[AccountConfig], clock: Clock) -> JsmsSource:
    """Build the source that the configuration describes. Raises ValueError if proxy or certificates can't be used."""
    return JsmsSource(
        endpoints_of(accounts),
        clock=clock,
        timeout=poll.timeout,
        concurrency=poll.concurrency,
        max_rate=poll.max_rate,
        ca_bundle=poll.ca_bundle,
        proxy=poll.proxy,
    )
