"""The parts that speak to the world outside, as one configuration wants them. Each is imported when it is made."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from balancebot.config import AccountConfig, Settings
from balancebot.domain.balance import WalletName, app_of
from balancebot.ports import Clock

if TYPE_CHECKING:
    from balancebot.jsms.source import Endpoint, JsmsSource


def source(settings: Settings, clock: Clock) -> "JsmsSource":
    """Make what the balances are asked of."""
    from balancebot.jsms.source import JsmsSource

    poll = settings.poll
    return JsmsSource(
        endpoints(settings.accounts),
        clock=clock,
        timeout=poll.timeout,
        concurrency=poll.concurrency,
        max_rate=poll.max_rate,
        ca_bundle=poll.ca_bundle,
        proxy=poll.proxy,
    )


def endpoints(accounts: Iterable[AccountConfig]) -> "dict[WalletName, Endpoint]":
    """Return where and with what each wallet is asked for."""
    from balancebot.jsms.answer import EndpointKind
    from balancebot.jsms.source import Endpoint

    return {
        name: Endpoint(
            base_url=account.base_url,
            kind=EndpointKind.ACCOUNT if app_of(name) is None else EndpointKind.APP,
            key=keys.key,
            secret=keys.secret,
        )
        for account in accounts
        for name, keys in account.wallets()
    }
