"""The composition root: settings and a database in, one `App` out. The only place that names adapters.

The command line, the pages, the Slack handlers, benchmarks and tests all use an `App`, which `build_app` puts together.
Parts that import a network library are created at their first use: a command that neither fetches nor sends must not
wait for these imports.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from balancebot.alerts.acts import OperateAlerts
from balancebot.alerts.transitions import DecisionWriter
from balancebot.clock import SystemClock
from balancebot.config import LiveSettings, Secret, Settings
from balancebot.digest.digest import SendDigest
from balancebot.domain.holidays import calendar_of
from balancebot.domain.message import DigestMessage, NoticeMessage
from balancebot.estimates.context import ContextReader
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.holidays import zone_of
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.i18n import Wording
from balancebot.notify.channel import ChannelContext, RegisteredChannel
from balancebot.notify.registry import REGISTERED, build_channels
from balancebot.notify.resend import OperateDeliveries
from balancebot.notify.worker import DeliverOutbox
from balancebot.orders.orders import OperateOrders
from balancebot.overview.advice import LatestAdvice
from balancebot.overview.balances import SystemStatus, system_status
from balancebot.overview.latest import LatestOverview
from balancebot.poll.cycle import PollCycle
from balancebot.poll.judge import JudgeLimits, sync_wallets
from balancebot.poll.judge_spikes import JudgeSpikes
from balancebot.poll.record import RateLimits, RecordReadings
from balancebot.ports import BalanceSource, Channel, Clock, Finding
from balancebot.redact import NO_REDACTOR, Redactor
from balancebot.statements.statement import MakeStatements
from balancebot.store import installation, living_messages, set_aside, wallets
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError
from balancebot.store.thresholds import ThresholdCache
from balancebot.store.workers import WorkerHeartbeat
from balancebot.thresholds.changes import EditThresholds
from balancebot.thresholds.preview import Backtest, PreviewLimits

if TYPE_CHECKING:
    from balancebot.jsms.source import JsmsSource
    from balancebot.notify.heartbeat import Heartbeat
    from balancebot.notify.render import Renderer
    from balancebot.notify.slack.listener import SlackApp
    from balancebot.people.log_in import LogIn
    from balancebot.people.openid import OpenIdConnect

_MIN_BUDGET = timedelta(seconds=30)
"""A poll cycle may always take this long, including retries."""


@dataclass(frozen=True, kw_only=True)
class App:
    """Everything that one configuration makes, for one process. Safe to share between threads."""

    live: LiveSettings
    database: Database
    clock: Clock
    steady: Clock
    """The clock for everything that waits for an instant. After a jump it may take a while to follow the wall clock."""
    worker_id: str
    """The name under which this process claims work."""
    thresholds: ThresholdCache
    estimator: Estimator
    figures: ContextReader
    decision_writer: DecisionWriter
    operate_alerts: OperateAlerts
    operate_deliveries: OperateDeliveries
    edit_thresholds: EditThresholds
    preview_limits: PreviewLimits
    planned_sends: PlannedSends
    operate_orders: OperateOrders
    make_statements: MakeStatements
    send_digest: SendDigest
    latest: LatestOverview
    latest_advice: LatestAdvice
    on_enqueued: Callable[[], None]
    """Called whenever the outbox has new deliveries."""
    given_source: BalanceSource | None = field(default=None, repr=False)
    given_channels: Mapping[str, Channel] | None = field(default=None, repr=False)
    given_redactor: Redactor | None = field(default=None, repr=False)
    registered: Sequence[RegisteredChannel] = REGISTERED

    @property
    def settings(self) -> Settings:
        """The present settings."""
        return self.live.now

    @property
    def words(self) -> Wording:
        """The language and the time zone of messages and pages."""
        return _words(self.settings)

    @property
    def public_url(self) -> str:
        """The address of the pages; '' = no pages."""
        return _public_url(self.settings)

    @cached_property
    def source(self) -> BalanceSource:
        """The source of the balances. Raises ValueError if its proxy or certificates can't be used."""
        return self.given_source or self._jsms

    @cached_property
    def _jsms(self) -> "JsmsSource":
        from balancebot.jsms.source import build_source  # lazy: aiohttp; most commands don't fetch

        return build_source(self.settings.poll, self.settings.accounts, self.clock)

    @cached_property
    def record_readings(self) -> RecordReadings:
        """Stores readings, and judges them."""
        intervals = self.settings.poll.intervals
        return RecordReadings(
            database=self.database,
            clock=self.clock,
            steady=self.steady,
            estimator=self.estimator,
            writer=self.decision_writer,
            thresholds=self.thresholds,
            judge_spikes=JudgeSpikes(zone=self.estimator.zone),
            intervals=intervals,
            rate_limits=RateLimits(intervals),
            margin=self.settings.alerts.recovery_margin,
        )

    @cached_property
    def poll_cycle(self) -> PollCycle:
        """Reads and judges wallets."""
        return PollCycle(
            database=self.database,
            source=self.source,
            clock=self.clock,
            steady=self.steady,
            worker_id=self.worker_id,
            record=self.record_readings,
            zone=self.estimator.zone,
            budget=lambda: cycle_budget(self.settings),
            on_enqueued=self.on_enqueued,
        )

    @cached_property
    def renderer(self) -> "Renderer":
        """Turns messages into text; the user's templates come first."""
        return _renderer(self.settings)

    @cached_property
    def channels(self) -> Mapping[str, Channel]:
        """The configured channels."""
        if self.given_channels is not None:
            return self.given_channels
        return build_channels(self.settings.channel_by_name, self._channel_context, self.registered)

    @cached_property
    def redact(self) -> Redactor:
        """Hides every secret of the configuration in text from outside."""
        return self.given_redactor or Redactor.of(self.settings)

    @property
    def _channel_context(self) -> ChannelContext:
        return ChannelContext(
            renderer=self.renderer, clock=self.clock, known_ids=self._known_ids, redact=self.redact
        )

    def _known_ids(self, channel: str) -> Mapping[str, str]:
        """Return the known ids of a channel's addresses; if the database fails, none: they are looked up again."""
        try:
            with self.database.read() as conn:
                return living_messages.channel_ids(conn, channel)
        except DatabaseError:
            return {}

    @cached_property
    def deliver_outbox(self) -> DeliverOutbox:
        """Sends what waits in the outbox."""
        return DeliverOutbox(
            self.database,
            self.channels,
            self.clock,
            self.worker_id,
            group_over=self.settings.alerts.group_over,
            defaults=self.settings.routing.defaults,
        )

    @cached_property
    def heartbeat(self) -> "Heartbeat | None":
        """The dead man's switch."""
        from balancebot.notify.heartbeat import Heartbeat  # lazy: aiohttp; few commands send one

        heartbeat = self.settings.heartbeat
        return None if heartbeat is None else Heartbeat(heartbeat.url, proxy=heartbeat.proxy)

    @cached_property
    def log_in(self) -> "LogIn":
        """Logs users in to the pages."""
        from balancebot.people.log_in import LogIn  # lazy: argon2; only the pages check passwords

        web = self.settings.web
        configured = None if web is None else web.secret_key
        if configured is not None:
            return LogIn(self.database, configured)
        with self.database.write() as conn:
            return LogIn(self.database, Secret(installation.session_key(conn, now=self.clock.now())))

    @cached_property
    def openid(self) -> "OpenIdConnect | None":
        """Log-in by OpenID Connect; None if it isn't configured."""
        web = self.settings.web
        if web is None or web.oidc is None:
            return None
        from balancebot.people.openid import OpenIdConnect  # lazy: joserfc, half a second to import

        return OpenIdConnect(web.oidc, redirect_uri=f"{web.public_url}/login/oidc/callback")

    def slack_app(self, *, on_done: Callable[[], None]) -> "SlackApp | None":
        """Return the listener to buttons and `/balance` in Slack; None if no app token is configured.

        `on_done` is called after each change that a user has made.
        """
        from balancebot.notify.slack.listener import slack_app_of  # lazy: only the daemon listens

        return slack_app_of(self, on_done=on_done)

    def check_channels(self) -> Iterator[tuple[str, Finding]]:
        """Check each channel without sending anything, and yield the findings."""
        for name, channel in self.channels.items():
            for finding in channel.check(self.settings.destinations(name)):
                yield name, finding

    def digest_text(self, message: DigestMessage | NoticeMessage) -> str:
        """Return a digest as the plain text of its mail."""
        return self.renderer.render(
            f"email/{'digest' if isinstance(message, DigestMessage) else 'notice'}.txt.j2", message
        )

    def digest_page(self, message: DigestMessage | NoticeMessage) -> str:
        """Return a digest as the HTML of its mail, as a complete page."""
        from balancebot.notify.email.compose import html_page  # lazy: jinja2

        return html_page(message, self.renderer)

    def sync_wallets(self) -> None:
        """Store the configured wallets in the database; wallets that are no longer configured aren't read any more."""
        self.database.apart_from_damage(self._sync_wallets)

    def _sync_wallets(self) -> None:
        sync_wallets(self.database, self.settings.wallets, writer=self.decision_writer, now=self.clock.now())
        with self.database.write() as conn:
            wallets.keep_owners(conn, self.settings.owners)

    def reread_apps(self) -> None:
        """Read the apps files that have changed: from now on new wallets are read, and removed ones aren't."""
        if self.live.reread() and self.given_source is None:
            from balancebot.jsms.endpoint import endpoints_of  # lazy: aiohttp

            self._jsms.configure(endpoints_of(self.settings.accounts))
        if self.live.wallets_unsynced:
            self.sync_wallets()  # if the database fails here, the next call tries again
            self.live.wallets_unsynced = False

    def worker_heartbeat(self, kind: str) -> WorkerHeartbeat:
        """Return the heartbeat that keeps this process's claims."""
        return WorkerHeartbeat(database=self.database, clock=self.clock, worker_id=self.worker_id, kind=kind)

    def system_status(self) -> SystemStatus:
        """Return the present balances, alerts, outbox and last cycle."""
        with self.database.read() as conn:
            return system_status(
                conn,
                book=self.thresholds.book(conn),
                stale_after=self.settings.poll.stale_after,
                now=self.clock.now(),
            )

    def unready(self) -> str:
        """Return why the app isn't ready, in a line; '' if the database answers and the last cycle was on time."""
        try:
            with self.database.read() as conn:
                last = installation.find(conn, installation.LAST_CYCLE)
        except DatabaseError as error:
            return str(error)
        if last is None:
            return "no poll cycle has ended yet"
        late = self.clock.now() - last.at - self.settings.poll.every - _longest_cycle(self.settings)
        return f"the last poll cycle ended at {last.at:%Y-%m-%d %H:%M:%S} UTC" if late > timedelta() else ""

    def damage_remarks(self) -> Sequence[str]:
        """Return a line about a damaged file, and about each wallet that is set aside because rows of it are damaged."""
        try:
            with self.database.read() as conn:
                return set_aside.remarks(conn)
        except DatabaseError:
            return ()  # `unready` says it

    def release(self) -> None:
        """Close all connections except those of the database."""
        if "_jsms" in self.__dict__:
            self._jsms.close()
        if self.__dict__.get("openid") is not None:
            self.__dict__["openid"].close()
        for channel in self.__dict__.get("channels", {}).values():
            channel.close()

    def close(self) -> None:
        """Close all connections and threads."""
        self.release()
        self.database.dispose()


def build_app(
    settings: Settings,
    database: Database,
    *,
    clock: Clock | None = None,
    steady: Clock | None = None,
    source: BalanceSource | None = None,
    channels: Mapping[str, Channel] | None = None,
    redactor: Redactor | None = None,
    registered: Sequence[RegisteredChannel] = REGISTERED,
    on_enqueued: Callable[[], None] = lambda: None,
    worker_id: str | None = None,
) -> App:
    """Build the app of one configuration. `source` and `channels` replace the configured ones.

    `redactor` is one that was already made from the same settings: with thousands of key pairs that takes a while.
    """
    clock = clock or SystemClock()
    steady = steady or clock
    live = LiveSettings(settings)
    zone, confidence = settings.timezone, settings.alerts.runway_confidence
    stale_after = settings.poll.stale_after
    thresholds = ThresholdCache()
    days = zone_of(settings)
    estimator = Estimator(zone=days, confidence=confidence)
    figures = ContextReader(
        estimator=estimator, thresholds=thresholds, package_sizes=settings.orders.package_sizes
    )
    writer = DecisionWriter(
        routing=settings.routing,
        contexts=figures,
        escalations=settings.escalations,
        quiet_hours=settings.quiet_hours,
    )
    make_statements = MakeStatements(
        database=database,
        clock=clock,
        zone=zone,
        owners=lambda: live.now.owners,
        prices=settings.orders.prices,
        currency=settings.orders.currency,
    )
    return App(
        live=live,
        database=database,
        clock=clock,
        steady=steady,
        worker_id=worker_id or uuid.uuid4().hex,
        thresholds=thresholds,
        estimator=estimator,
        figures=figures,
        decision_writer=writer,
        operate_alerts=OperateAlerts(
            database=database,
            clock=clock,
            steady=steady,
            writer=writer,
            remind_every=settings.alerts.remind_every,
        ),
        operate_deliveries=OperateDeliveries(database=database, clock=clock),
        edit_thresholds=EditThresholds(
            database=database,
            clock=clock,
            known=lambda: live.now.wallets,
            judge_limits=JudgeLimits(
                writer=writer, margin=settings.alerts.recovery_margin, stale_after=stale_after
            ),
        ),
        preview_limits=PreviewLimits(
            database=database,
            backtest=Backtest(zone=zone.key, confidence=confidence, margin=settings.alerts.recovery_margin),
            stale_after=stale_after,
        ),
        operate_orders=OperateOrders(
            database=database,
            clock=clock,
            steady=steady,
            known=lambda: live.now.wallets,
            destinations=settings.routing.default_destinations,
            zone=zone,
        ),
        make_statements=make_statements,
        planned_sends=PlannedSends(
            database=database,
            clock=clock,
            known=lambda: live.now.wallets,
            estimator=estimator,
            fastest=settings.poll.fastest if settings.poll.intervals.num_slots > 1 else None,
        ),
        send_digest=SendDigest(
            database=database,
            clock=clock,
            steady=steady,
            digests=settings.digests,
            zone=zone,
            thresholds=thresholds,
            figures=figures,
            configured=lambda: live.now.wallets,
            stale_after=stale_after,
            make_statements=make_statements,
        ),
        latest=LatestOverview(database, thresholds, stale_after=stale_after),
        latest_advice=LatestAdvice(database, figures, lambda: live.now.wallets),
        on_enqueued=on_enqueued,
        given_source=source,
        given_channels=channels,
        given_redactor=redactor,
        registered=registered,
    )


def preview_channels(settings: Settings, show: Callable[[str], None]) -> Mapping[str, Channel]:
    """Return channels that show each message as its reader would see it, and send nothing."""
    context = ChannelContext(
        renderer=_renderer(settings), clock=SystemClock(), known_ids=lambda _: {}, redact=NO_REDACTOR
    )
    return build_channels(settings.channel_by_name, context, show=show)


def _renderer(settings: Settings) -> "Renderer":
    from balancebot.notify.render import Renderer  # lazy: jinja2; most commands write no message

    return Renderer(words=_words(settings), public_url=_public_url(settings), user_dir=settings.templates.dir)


def _words(settings: Settings) -> Wording:
    return Wording(
        language=settings.language, zone=settings.timezone, holidays=calendar_of(zone_of(settings))
    )


def _public_url(settings: Settings) -> str:
    return "" if settings.web is None else settings.web.public_url


def cycle_budget(settings: Settings) -> timedelta:
    """Return how long a cycle may take: enough for every wallet, but a slow server can't delay it for ever."""
    return max(settings.poll.every, _longest_cycle(settings))


def _longest_cycle(settings: Settings) -> timedelta:
    """Return how long a cycle takes if requests are paced, or servers answer slowly."""
    poll = settings.poll
    paced = len(settings.wallets) / poll.max_rate * 1.5 if poll.max_rate else 0.0
    return max(_MIN_BUDGET, 3 * poll.timeout, timedelta(seconds=paced))
