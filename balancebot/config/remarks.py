"""What a configuration may say and hardly means: no reason to refuse it, but `check` tells it."""

from collections import defaultdict
from collections.abc import Iterator

from balancebot.config.shapes import Settings
from balancebot.config.table import Fault
from balancebot.domain.message import ChannelName


def remarks(settings: Settings) -> tuple[Fault, ...]:
    """Return what is odd: destinations on a channel that isn't configured, nobody to tell, one key pair used twice."""
    found = (*_unreachable(settings), *_nobody_told(settings), *_shared_keys(settings))
    return tuple(Fault(file=str(settings.path), key=key, message=message) for key, message in found)


def _unreachable(settings: Settings) -> Iterator[tuple[str, str]]:
    for channel, configured in ((ChannelName.SLACK, settings.slack), (ChannelName.EMAIL, settings.email)):
        if configured is not None:
            continue
        for index, route in enumerate(settings.routes):
            if route.destinations.get(channel):
                yield f"routes[{index}].{channel}", f"tells nobody: there is no [{channel}]"
        key = "slack" if channel is ChannelName.SLACK else "to"
        for index, digest in enumerate(settings.digests):
            if digest.slack if channel is ChannelName.SLACK else digest.to:
                yield f"digests[{index}].{key}", f"tells nobody: there is no [{channel}]"


def _nobody_told(settings: Settings) -> Iterator[tuple[str, str]]:
    if not any(settings.routing.defaults.values()):
        yield "", "without [slack] and [email].to, alerts that no route takes are told to nobody"


def _shared_keys(settings: Settings) -> Iterator[tuple[str, str]]:
    """One key pair under two names reads one wallet twice, and its quota counts twice. Only with secrets resolved."""
    if not settings.resolved:
        return
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for account in settings.accounts:
        for wallet, keys in account.wallets():
            users[account.base_url, keys.key.reveal()].append(wallet)
    for wallets in users.values():
        if len(wallets) > 1:
            yield "accounts", f"the same key reads {', '.join(wallets)}: is one of them a copy?"
