"""Reads balances from JSMS: many wallets at once, each a Snapshot or a SourceError, streamed as they come.

The caller's side is plain and synchronous, and safe from several threads; behind it one thread runs one event loop
over the source's life. What goes out is bounded: requests under way, their rate, and the time of each and of all.
"""

import asyncio
import base64
import logging
import queue
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

import httpx

from balancebot import __version__
from balancebot.config import Secret
from balancebot.domain.balance import Snapshot, WalletName, account_of
from balancebot.jsms.answer import AnswerFault, EndpointKind, ParsedBalances, Understood, parse_answer, plain
from balancebot.jsms.pool import FetchCall, FetchPool, FetchTask
from balancebot.jsms.transport import Transport
from balancebot.ports import Clock, FetchResult, SourceError, SourceErrorKind

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one wallet is read, and with which key pair."""

    base_url: str
    kind: EndpointKind
    key: Secret
    """devKey or appKey."""
    secret: Secret
    """apiDevSecret or masterSecret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """How often and how soon a passing fault is tried again within one call."""

    attempts: int = 3
    """In all. A timeout is tried twice at most: it has cost a whole deadline already."""
    first_wait: timedelta = timedelta(seconds=0.5)
    """Doubles with each attempt; up to half of it is taken off at random, so that retries don't march in step."""
    rate_limited_wait: timedelta = timedelta(seconds=5)
    """Likewise, after "out of freq" without a `Retry-After`."""
    longest_wait: timedelta = timedelta(seconds=30)
    """A source that asks for more is left alone in this call; its `Retry-After` goes into the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """An endpoint made ready: its request is built once and sent often."""

    endpoint: Endpoint
    request: httpx.Request
    host: str
    hidden: tuple[str, ...]
    """What no message may hold, should the source repeat it."""
    twin: WalletName | None
    """A wallet of the other kind that is configured with the same key."""

    def without_keys(self, text: str, *, at_least: int = 1) -> str:
        """Return `text` with the key pair as stars, should the source have repeated it."""
        for hidden in self.hidden:
            if len(hidden) >= at_least:
                text = text.replace(hidden, "***")
        return text


_NO_WORD_OF_OURS = 8
"""A key of so many characters is in our own words only where the source put it; a shorter one may be by chance."""
_NOT_CONFIGURED = AnswerFault(kind=SourceErrorKind.CONFIGURATION, message="no key pair is configured for it")
_NOT_ASKED = AnswerFault(
    kind=SourceErrorKind.NETWORK, message="not asked: no request there got an answer any more"
)


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
        proxy: str | None = None,
        retrying: Retrying | None = None,
    ) -> None:
        """Take what stands in `[poll]`; nothing is started or connected before the first `fetch`.

        `timeout` bounds one request whatever the server does; `max_rate` is in requests per second to one base URL;
        `ca_bundle` None means the system's, `proxy` None as the environment says, "direct" none.
        Raises ValueError for a CA bundle that can't be read and for a base URL that is none.
        """
        self._clock = clock
        self._timeout = timeout.total_seconds()
        self._given_up_after = max(20, 2 * concurrency)
        self._retrying = retrying or Retrying()
        self._transport = Transport(ca_bundle=ca_bundle, proxy=proxy)
        self._targets = _targets(endpoints)
        self._rejected: set[WalletName] = set()
        self._crew = FetchPool(
            work=self._read, at_end=self._transport.close, num_workers=concurrency, max_rate=max_rate
        )

    def configure(self, endpoints: Mapping[WalletName, Endpoint]) -> None:
        """Replace all endpoints; a call under way asks by the new ones from its next request on."""
        self._targets = _targets(endpoints)

    def fetch(self, wallets: Sequence[WalletName], *, budget: timedelta) -> Iterator[FetchResult]:
        """Read `wallets` and yield each one's result once, as it comes; see `BalanceSource.fetch`.

        The requests go out at once, and `budget` counts from now, not from the first `next`.
        Raises RuntimeError after `close`.
        """
        targets = self._targets
        call = FetchCall(deadline=time.monotonic() + budget.total_seconds())
        pending = set(wallets)
        by_lane: dict[str, list[FetchTask]] = {}
        for wallet in dict.fromkeys(wallets):
            if wallet in targets:
                job = FetchTask(call=call, wallet=wallet)
                by_lane.setdefault(targets[wallet].endpoint.base_url, []).append(job)
            else:
                call.results.put([self._error(wallet, _NOT_CONFIGURED, _NOT_CONFIGURED.message)])
        self._crew.submit(call, by_lane)
        return self._results(call, pending, budget)

    def close(self) -> None:
        """Close the connections and end the thread; what calls under way still wait for yields timeouts. Idempotent."""
        self._crew.close()

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
                message=f"not read within the {budget.total_seconds():g} s given to all",
            )
            for wallet in sorted(pending):
                yield self._error(wallet, late, late.message)
        finally:
            self._crew.abandon(call)

    # What follows runs on the crew's event loop.

    async def _read(self, job: FetchTask) -> None:
        """Ask once; deliver what came, or put the job back for later."""
        try:
            await self._read_once(job)
        except Exception as error:  # a fault of ours costs neither a worker nor the caller's patience
            log.exception("reading_failed", extra={"wallet": job.wallet})
            fault = AnswerFault(kind=SourceErrorKind.SCHEMA, message=f"unforeseen: {type(error).__name__}")
            job.call.deliver(self._error(job.wallet, fault, fault.message))

    async def _read_once(self, job: FetchTask) -> None:
        target = self._targets.get(job.wallet)
        if target is None:
            job.call.deliver(self._error(job.wallet, _NOT_CONFIGURED, _NOT_CONFIGURED.message))
            return
        base_url = target.endpoint.base_url
        outcome = await self._ask_unless_away(job, target)
        match outcome:
            case ParsedBalances():
                self._rejected.discard(job.wallet)
                job.call.deliver(
                    Snapshot(
                        wallet=job.wallet,
                        observed_at=self._clock.now(),
                        readings=outcome.readings,
                        unknown_fields=outcome.unknown_fields,
                    )
                )
            case AnswerFault():
                wait = self._wait_before_retry(outcome, job, base_url)
                if wait is not None:
                    self._crew.later(wait, base_url, replace(job, attempt=job.attempt + 1))
                else:
                    job.call.deliver(
                        self._error(job.wallet, outcome, self._words(job.wallet, target, outcome))
                    )
            case _:
                assert_never(outcome)

    async def _ask_unless_away(self, job: FetchTask, target: _Target) -> Understood:
        """Ask, unless so many others got no answer in this call: a dead host costs seconds, not the whole budget."""
        base_url, unanswered = target.endpoint.base_url, job.call.unanswered
        if unanswered[base_url] >= self._given_up_after:
            return _NOT_ASKED
        outcome = await self._ask(job, target)
        if not _is_silence(outcome):
            unanswered[base_url] = 0
        elif job.attempt == 1:  # retries are of bad wallets alone: they say nothing of the host
            unanswered[base_url] += 1
        return outcome

    async def _ask(self, job: FetchTask, target: _Target) -> Understood:
        limit = asyncio.timeout_at(min(time.monotonic() + self._timeout, job.call.deadline))
        try:
            async with limit:
                job.call.under_way.add(limit)
                reply = await self._transport.get(target.request, base_url=target.endpoint.base_url)
        except TimeoutError:
            return AnswerFault(
                kind=SourceErrorKind.TIMEOUT, message=f"no complete answer within {self._timeout:g} s"
            )
        finally:
            job.call.under_way.discard(limit)
        if isinstance(reply, AnswerFault):
            return reply
        return parse_answer(reply, target.endpoint.kind, now=self._clock.now())

    def _wait_before_retry(self, fault: AnswerFault, job: FetchTask, base_url: str) -> float | None:
        """Return the seconds to wait before the next attempt; None where there is to be none."""
        rules = self._retrying
        if fault.kind.permanent or fault.kind is SourceErrorKind.TLS:
            return None
        attempts = min(rules.attempts, 2) if fault.kind is SourceErrorKind.TIMEOUT else rules.attempts
        if job.attempt >= attempts or job.call.unanswered[base_url] >= self._given_up_after // 2:
            return None
        first = rules.rate_limited_wait if fault.kind is SourceErrorKind.RATE_LIMITED else rules.first_wait
        jitter = random.random()  # noqa: S311 -- keeps retries from marching in step; no secret
        if fault.retry_after is None:
            wait = first * 2.0 ** (job.attempt - 1) * (1 - jitter / 2)
        else:
            wait = max(fault.retry_after, rules.first_wait) * (1 + jitter / 4)
        if wait > rules.longest_wait or time.monotonic() + wait.total_seconds() >= job.call.deadline:
            return None
        return wait.total_seconds()

    def _error(self, wallet: WalletName, fault: AnswerFault, words: str) -> SourceError:
        return SourceError(
            wallet=wallet,
            at=self._clock.now(),
            kind=fault.kind,
            message=f"{wallet}: {words}",
            retry_after=fault.retry_after,
        )

    def _words(self, wallet: WalletName, target: _Target, fault: AnswerFault) -> str:
        """Say what an answer meant, and what the source itself said of it, the key pair left out."""
        words = f"{target.host}: {fault.message}"
        if fault.kind is SourceErrorKind.CREDENTIALS:
            self._rejected.add(wallet)
            words += self._looks_swapped(wallet, target)
        # Hidden before it is cut: half a key is one too.
        said = plain(target.without_keys(fault.said))
        words = target.without_keys(words, at_least=_NO_WORD_OF_OURS)
        return words + (f" (it said “{said}”)" if said else "")

    def _looks_swapped(self, wallet: WalletName, target: _Target) -> str:
        """Say what we know of it: the same key configured as both kinds, or both kinds rejected in one account."""
        if target.twin is not None:
            return f"; they do look swapped: {target.twin} is configured with the same key"
        kinds = {
            self._targets[other].endpoint.kind
            for other in self._rejected
            if other in self._targets and account_of(other) == account_of(wallet)
        }
        return (
            "; they do look swapped: the account's pair and an app's are both rejected"
            if len(kinds) == 2
            else ""
        )


def _is_silence(outcome: Understood) -> bool:
    return isinstance(outcome, AnswerFault) and outcome.kind in {
        SourceErrorKind.TIMEOUT,
        SourceErrorKind.NETWORK,
    }


def _targets(endpoints: Mapping[WalletName, Endpoint]) -> Mapping[WalletName, _Target]:
    by_key: dict[tuple[EndpointKind, Secret], WalletName] = {}
    for wallet, endpoint in endpoints.items():
        by_key.setdefault((endpoint.kind, endpoint.key), wallet)
    return MappingProxyType(
        {
            wallet: _target(endpoint, twin=by_key.get((endpoint.kind.other, endpoint.key)))
            for wallet, endpoint in endpoints.items()
        }
    )


def _target(endpoint: Endpoint, *, twin: WalletName | None) -> _Target:
    key, secret = endpoint.key.reveal(), endpoint.secret.reveal()
    pair = base64.b64encode(f"{key}:{secret}".encode()).decode()
    try:
        url = httpx.URL(endpoint.base_url.rstrip("/") + endpoint.kind.path)
    except httpx.InvalidURL as error:
        raise ValueError("base_url is no address") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise ValueError("base_url must be http:// or https:// and a host, without a user")
    return _Target(
        endpoint=endpoint,
        request=httpx.Request(
            "GET",
            url,
            headers={
                "Authorization": f"Basic {pair}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"balancebot/{__version__}",
            },
        ),
        host=url.netloc.decode(),
        hidden=(pair, secret, key),
        twin=twin,
    )
