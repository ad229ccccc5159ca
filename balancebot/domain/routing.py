"""Which destinations hear of an alert: the first route that matches decides, for every channel by itself.

Routes are asked at each notification, with the severity it has then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.message import ChannelName
from balancebot.domain.pattern import Pattern
from balancebot.domain.verdict import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where alerts of what `match` means, of `severity` or worse, are told."""

    match: Pattern
    severity: Severity | None = None
    """None: any."""
    destinations: Mapping[ChannelName, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Per channel: empty = not told there; a channel that is absent takes its default."""

    def takes(self, wallet: WalletName, category: Category | None, severity: Severity) -> bool:
        """Tell whether this route decides for an alert."""
        if self.severity is not None and severity < self.severity:
            return False
        return self.match.matches(wallet, category)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """All routes in their order, and the destinations of what none of them takes.

    A channel without an entry in `defaults` isn't configured: nothing is sent there, whatever a route says.
    """

    routes: Sequence[Route] = ()
    defaults: Mapping[ChannelName, tuple[str, ...]]

    def destinations(
        self, wallet: WalletName, category: Category | None, severity: Severity
    ) -> tuple[tuple[ChannelName, str], ...]:
        """Return who is told of an alert (`category` None: of the wallet as a whole), each destination once."""
        chosen: Mapping[ChannelName, tuple[str, ...]] = next(
            (route.destinations for route in self.routes if route.takes(wallet, category, severity)), {}
        )
        return tuple(
            (channel, destination)
            for channel, usual in self.defaults.items()
            for destination in dict.fromkeys(chosen.get(channel, usual))
        )
