"""The channels: the state of each destination, test messages, and the destinations that a balance's alert would get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.config.sections import QuietConfig
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.pattern import Pattern
from balancebot.domain.routing import Destination, Route
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.verdict import Severity
from balancebot.explain.explain import read_target
from balancebot.sheet_writer import Cell
from balancebot.store import channel_failures, notification_history
from balancebot.store.channel_failures import ChannelFailure
from balancebot.store.notification_history import DestinationSummary
from balancebot.web.downloads import csv_file, instant_cell
from balancebot.web.rendering import show
from balancebot.web.request import Done, PageRequest, done

_SEVERITIES = (Severity.WARNING, Severity.CRITICAL, Severity.DEPLETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationView:
    """One destination and its state."""

    destination: Destination
    is_default: bool
    summary: DestinationSummary | None
    """None: nothing was ever sent there."""
    failures: Sequence[ChannelFailure]


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationPreview:
    """The destinations that get an alert too if nobody acknowledges it in time."""

    match: Pattern
    after: timedelta
    destinations: Sequence[Destination]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPreview:
    """The destinations of an alert of a balance, or of a wallet, at a severity."""

    wallet: WalletName
    category: Category | None
    severity: Severity
    route: Route | None
    """None: no route matches, so the defaults apply."""
    destinations: Sequence[Destination]
    mentions: Sequence[str]
    quiet: QuietConfig | None
    """The quiet hours for which it would wait; None: it wouldn't wait."""
    escalations: Sequence[EscalationPreview]


def channels(request: PageRequest) -> Response:
    """Show all channels and destinations and, for a chosen balance, where its alerts would go."""
    app, asked = request.app, request.query("about")
    fault: str = ""
    preview: RoutingPreview | None = None
    severity = next((level for level in _SEVERITIES if level.word == request.query("severity")), None)
    severity = severity or Severity.CRITICAL
    with app.database.read() as conn:
        summaries = notification_history.destination_summaries(conn)
        failures = channel_failures.current(conn)
        if asked:
            target = read_target(conn, asked, configured=app.settings.wallets)
            if isinstance(target, Sentence):
                fault = request.words.translate(target)
            else:
                preview = preview_routing(request, *target, severity)
    return show(
        request,
        "channels.html.j2",
        views=_views(request, summaries, failures),
        about=asked,
        severity=severity,
        severities=_SEVERITIES,
        fault=fault,
        preview=preview,
        known=app.settings.wallets,
    )


def send_test(request: PageRequest) -> Response:
    """Put a test message for one destination into the outbox."""
    destination = Destination(request.sent("channel"), request.sent("destination"))
    if destination.address not in request.app.settings.destinations(destination.channel):
        raise HTTPException(404, sentence("There is no such destination.").id)
    request.app.operate_deliveries.send_test(destination, by=request.actor)
    request.app.on_enqueued()
    return done("/channels", Done.TEST_SENT)


def preview_routing(
    request: PageRequest, wallet: WalletName, category: Category | None, severity: Severity
) -> RoutingPreview:
    """Return where an alert would go with the present configuration, ignoring silences."""
    settings = request.app.settings
    routing, quiet = settings.routing, settings.quiet
    waits = quiet is not None and severity < quiet.below
    return RoutingPreview(
        wallet=wallet,
        category=category,
        severity=severity,
        route=routing.route(wallet, category, severity),
        destinations=routing.destinations(wallet, category, severity),
        mentions=routing.mentioned(wallet, category, severity),
        quiet=quiet if waits else None,
        escalations=[
            EscalationPreview(
                match=rule.match,
                after=rule.after,
                destinations=[
                    Destination(channel, address)
                    for channel, addresses in rule.destinations.items()
                    for address in addresses
                ],
            )
            for rule in sorted(settings.escalations, key=lambda rule: rule.after)
            if rule.match.matches(wallet, category) and severity >= (rule.severity or Severity.WARNING)
        ],
    )


def to_csv(request: PageRequest) -> Response:
    """Send all destinations and their state as CSV."""
    with request.app.database.read() as conn:
        summaries = notification_history.destination_summaries(conn)
        failures = channel_failures.current(conn)
    header = (
        "channel",
        "destination",
        "default",
        "last_delivered_at",
        "waiting",
        "waiting_since",
        "given_up",
        "error",
    )
    table: list[tuple[Cell, ...]] = [header]
    for view in _views(request, summaries, failures):
        summary = view.summary
        errors = [failure.message for failure in view.failures] or ([summary.error] if summary else [])
        table.append(
            (
                view.destination.channel,
                view.destination.address,
                "yes" if view.is_default else "no",
                instant_cell(summary.last_delivered_at if summary else None),
                summary.num_waiting if summary else 0,
                instant_cell(summary.waiting_since if summary else None),
                summary.num_given_up if summary else 0,
                "; ".join(request.words.translate(error) for error in errors),
            )
        )
    return csv_file(table, "channels.csv")


def _views(
    request: PageRequest,
    summaries: Mapping[Destination, DestinationSummary],
    failures: Sequence[ChannelFailure],
) -> list[DestinationView]:
    settings = request.app.settings
    defaults = settings.routing.defaults
    configured = [
        Destination(channel, address) for channel in defaults for address in settings.destinations(channel)
    ]
    # Destinations that are no longer configured are shown too if messages still wait for them.
    left = [place for place, summary in summaries.items() if summary.num_waiting and place not in configured]
    return [
        DestinationView(
            destination=place,
            is_default=place.address in defaults.get(place.channel, ()),
            summary=summaries.get(place),
            failures=[
                failure for failure in failures if (failure.channel, failure.destination) == tuple(place)
            ],
        )
        for place in (*configured, *left)
    ]
