"""Routes: which destinations an alert is sent to. The first matching route decides, for each channel separately.

Routes are evaluated at each notification, with the severity of that moment.
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
    """The address within the channel: a Slack channel's name or id, an e-mail address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where alerts of the balances that `match` matches are sent, if they are of `severity` or worse."""

    match: Pattern
    severity: Severity | None = None
    """None: any."""
    destinations: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Per channel. Empty: nothing is sent through this channel; a missing channel uses its default."""

    mention: Mapping[Severity, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """The people to mention in messages of that severity or worse."""

    def takes(self, wallet: WalletName, category: Category | None, severity: Severity) -> bool:
        """Return whether this route matches an alert."""
        if self.severity is not None and severity < self.severity:
            return False
        return self.match.matches(wallet, category)

    def mentioned(self, severity: Severity) -> tuple[str, ...]:
        """Return the people to mention in messages of `severity`, each once."""
        ids = (id_ for least, ids in self.mention.items() if severity >= least for id_ in ids)
        return tuple(dict.fromkeys(ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """All routes in their order, and the default destinations of alerts that no route matches.

    A channel without an entry in `defaults` isn't configured: nothing is sent through it, even if a route names it.
    """

    routes: Sequence[Route] = ()
    defaults: Mapping[str, tuple[str, ...]]
    editable: frozenset[str] = frozenset()
    """The channels whose messages can be edited after they were sent."""
    threaded: frozenset[str] = frozenset()
    """The channels that have threads: only these get improvements that are no recovery (`TOPPED_UP`), as a reply."""

    @property
    def default_destinations(self) -> tuple[Destination, ...]:
        """Where messages go that no route matches."""
        return tuple(
            Destination(channel, address) for channel, usual in self.defaults.items() for address in usual
        )

    def destinations(
        self, wallet: WalletName, category: Category | None, severity: Severity
    ) -> tuple[Destination, ...]:
        """Return where an alert is sent, each destination once. `category` None: an alert of the wallet as a whole."""
        route = self.route(wallet, category, severity)
        chosen: Mapping[str, tuple[str, ...]] = {} if route is None else route.destinations
        return tuple(
            Destination(channel, address)
            for channel, usual in self.defaults.items()
            for address in dict.fromkeys(chosen.get(channel, usual))
        )

    def mentioned(self, wallet: WalletName, category: Category | None, severity: Severity) -> tuple[str, ...]:
        """Return the people to mention in messages about an alert."""
        route = self.route(wallet, category, severity)
        return () if route is None else route.mentioned(severity)

    def route(self, wallet: WalletName, category: Category | None, severity: Severity) -> Route | None:
        """Return the first route that matches an alert; None: the defaults apply."""
        return next((route for route in self.routes if route.takes(wallet, category, severity)), None)
