"""Routes: the first match decides, separately for each channel."""

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.routing import Route, RoutingTable
from balancebot.domain.verdict import Severity
from tests.patterns import pattern_from

DEFAULTS = {"slack": ("#ops",), "email": ("finance@example.com",)}
WALLET = WalletName("acme/checkout")


def test_without_a_route_the_default_destinations_are_used() -> None:
    table = RoutingTable(defaults=DEFAULTS)
    assert (
        ("slack", "#ops"),
        ("email", "finance@example.com"),
    ) == table.destinations(WALLET, Category.VOICE, Severity.WARNING)


def test_the_first_match_wins_and_a_channel_it_does_not_name_keeps_its_default() -> None:
    table = RoutingTable(
        routes=(
            Route(
                match=pattern_from("acme/*:voice"),
                destinations={"slack": ("#voice", "#calls", "#voice")},
            ),
            Route(match=pattern_from("acme/*"), destinations={"slack": ("#never",)}),
        ),
        defaults=DEFAULTS,
    )
    assert (
        ("slack", "#voice"),
        ("slack", "#calls"),
        ("email", "finance@example.com"),
    ) == table.destinations(WALLET, Category.VOICE, Severity.WARNING)


def test_an_empty_list_notifies_nobody_on_that_channel() -> None:
    table = RoutingTable(
        routes=(Route(match=pattern_from("*"), destinations={"email": ()}),), defaults=DEFAULTS
    )
    assert (("slack", "#ops"),) == table.destinations(WALLET, None, Severity.CRITICAL)


def test_a_route_with_a_severity_matches_it_and_worse_and_skips_lower_ones() -> None:
    table = RoutingTable(
        routes=(
            Route(
                match=pattern_from("*"),
                severity=Severity.CRITICAL,
                destinations={"slack": ("#pager",), "email": ()},
            ),
        ),
        defaults=DEFAULTS,
    )
    by_severity = {
        s: table.destinations(WALLET, Category.MARKET, s)[0][1] for s in Severity if s > Severity.OK
    }
    assert {
        Severity.WARNING: "#ops",
        Severity.CRITICAL: "#pager",
        Severity.DEPLETED: "#pager",
    } == by_severity


def test_a_channel_that_is_not_configured_is_never_notified() -> None:
    table = RoutingTable(
        routes=(Route(match=pattern_from("*"), destinations={"slack": ("#ops",)}),),
        defaults={"email": ("finance@example.com",)},
    )
    assert (("email", "finance@example.com"),) == table.destinations(WALLET, None, Severity.WARNING)


def test_a_pattern_with_a_category_does_not_match_alerts_of_the_wallet() -> None:
    table = RoutingTable(
        routes=(Route(match=pattern_from("*:*"), destinations={"slack": ("#balances",)}),),
        defaults={"slack": ("#ops",)},
    )
    assert (("slack", "#ops"),) == table.destinations(WALLET, None, Severity.WARNING)


def test_a_route_mentions_everyone_named_for_the_severity_or_a_lower_one_once() -> None:
    route = Route(
        match=pattern_from("acme/*"),
        mention={Severity.WARNING: ("U1A",), Severity.CRITICAL: ("here", "U1A")},
    )
    table = RoutingTable(routes=(route,), defaults=DEFAULTS)
    assert {
        Severity.WARNING: ("U1A",),
        Severity.CRITICAL: ("U1A", "here"),
        Severity.DEPLETED: ("U1A", "here"),
    } == {s: table.mentioned(WALLET, None, s) for s in Severity if s > Severity.OK}
    assert () == table.mentioned(WalletName("acme"), None, Severity.CRITICAL)
