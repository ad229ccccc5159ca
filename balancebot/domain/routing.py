"""Which destinations hear of an alert: the first route that matches decides, for every channel by itself.

Routes are asked at each notification, with the severity it has then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import Pattern
from balancebot.domain.verdict import Severity


class Destination(NamedTuple):
    """Where a channel delivers: one Slack channel, one e-mail address, one bot's chat."""

    channel: str
    """The configured name of the channel: `slack`, `email`, `ops-feishu`."""
    address: str
    """What the channel calls the place: a Slack channel's name or id, an e-mail address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where alerts of what `match` means, of `severity` or worse, are told."""

    match: Pattern
    severity: Severity | None = None
    """None: any."""
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Per channel: empty = not told there; a channel that is absent takes its default."""

    mention: Mapping[Severity, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Who is mentioned in messages of that severity or worse."""

    def takes(self, wallet: WalletName, category: Category | None, severity: Severity) -> bool:
        """Tell whether this route decides for an alert."""
        if self.severity is not None and severity < self.severity:
            return False
        return self.match.matches(wallet, category)

    def mentioned(self, severity: Severity) -> tuple[str, ...]:
        """Return who is mentioned in messages of `severity`, each once."""
        ids = (id_ for least, ids in self.mention.items() if severity >= least for id_ in ids)
        return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """All routes in their order, and the destinations of what none of them takes.

    A channel without an entry in `defaults` isn't configured: nothing is sent there, whatever a route says.
    """

    routes: Sequence[Route] = ()
    defaults: Mapping[str, tuple[str, ...]]
    editable: frozenset[str] = frozenset()
    """The channels whose messages can be edited after they were sent."""
    threaded: frozenset[str] = frozenset()
    """The channels whose messages can be answered: what is better, and not yet well, is told there alone."""

    @property
    def default_destinations(self) -> tuple[Destination, ...]:
        """Who is told of what no route is about."""
        return tuple(
            Destination(channel, address) for channel, usual in self.defaults.items() for address in usual
        )

    def destinations(
        self, wallet: WalletName, category: Category | None, severity: Severity
    ) -> tuple[Destination, ...]:
        """Return who is told of an alert (`category` None: of the wallet as a whole), each destination once."""
        route = self.route(wallet, category, severity)
        chosen: Mapping[str, tuple[str, ...]] = {} if route is None else route.destinations
        return tuple(
            Destination(channel, address)
            for channel, usual in self.defaults.items()
            for address in dict.fromkeys(chosen.get(channel, usual))
        )

    def mentioned(self, wallet: WalletName, category: Category | None, severity: Severity) -> tuple[str, ...]:
        """Return who is mentioned where an alert is told."""
        route = self.route(wallet, category, severity)
        return () if route is None else route.mentioned(severity)

    def route(self, wallet: WalletName, category: Category | None, severity: Severity) -> Route | None:
        """Return the route that decides for an alert; None: the defaults do."""
        return next((route for route in self.routes if route.takes(wallet, category, severity)), None)
