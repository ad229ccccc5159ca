"""Everything that one configuration comes to. Each part is made when it is first asked for.

A bot is one process's: it has a worker's name under which it claims what it does.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from balancebot import outside
from balancebot.alerts.acts import OperateAlerts
from balancebot.alerts.transitions import DecisionWriter
from balancebot.clock import SystemClock
from balancebot.config import AppsWatch, Settings
from balancebot.domain.message import DigestFacts
from balancebot.estimates.context import MessageContext
from balancebot.estimates.estimator import Estimator
from balancebot.ports import Channel, Clock, Finding
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache
from balancebot.worker import WorkerHeartbeat

if TYPE_CHECKING:
    from balancebot.digest.digest import SendDigest
    from balancebot.i18n import Wording
    from balancebot.jsms.source import JsmsSource
    from balancebot.notify.email.smtp import SmtpChannel
    from balancebot.notify.heartbeat import Heartbeat
    from balancebot.notify.render import Renderer
    from balancebot.notify.slack.channel import SlackChannel
    from balancebot.notify.slack.webhook import SlackWebhook
    from balancebot.notify.worker import DeliverOutbox
    from balancebot.overview.system import SystemStatus
    from balancebot.poll.cycle import PollCycle
    from balancebot.thresholds.preview import PreviewLimits

_LEAST_BUDGET = timedelta(seconds=30)
"""A round may take so long in any case, retries included."""


class App:
    """Everything that one configuration comes to, wired once."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        clock: Clock | None = None,
        on_news: Callable[[], None] = lambda: None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """`on_news` is called whenever the outbox has something new. With `say`, messages are shown and not sent."""
        self.settings = settings
        self.database = database
        self.clock = clock or SystemClock()
        self.worker_id = uuid.uuid4().hex
        self._on_news = on_news
        self._say = say
        self._apps_watch = AppsWatch(settings.accounts, environ=os.environ)
        self._wallets_unsynced = False
        self.thresholds = ThresholdCache()
        self.estimator = Estimator(zone=settings.timezone.key, confidence=settings.alerts.runway_confidence)
        self.figures = MessageContext(
            estimator=self.estimator, thresholds=self.thresholds, package_sizes=settings.orders.package_sizes
        )
        self.teller = DecisionWriter(routing=settings.routing, figures=self.figures)

    @cached_property
    def source(self) -> "JsmsSource":
        """What the balances are asked of."""
        return outside.source(self.settings, self.clock)

    @cached_property
    def poll_cycle(self) -> "PollCycle":
        """Reading wallets."""
        from balancebot.poll.cycle import PollCycle
        from balancebot.poll.judge_spikes import JudgeSpikes
        from balancebot.poll.record import PollIntervals, RecordReadings

        poll = self.settings.poll
        return PollCycle(
            database=self.database,
            source=self.source,
            clock=self.clock,
            worker_id=self.worker_id,
            record=RecordReadings(
                database=self.database,
                clock=self.clock,
                estimator=self.estimator,
                teller=self.teller,
                thresholds=self.thresholds,
                pace=PollIntervals(every=poll.every, fastest=poll.fastest, stale_after=poll.stale_after),
                margin=self.settings.alerts.recovery_margin,
            ),
            judge_spikes=JudgeSpikes(
                zone=self.estimator.zone, teller=self.teller, thresholds=self.thresholds
            ),
            zone=self.estimator.zone,
            budget=lambda: self.round_budget,
            on_news=self._on_news,
        )

    @cached_property
    def operate_alerts(self) -> OperateAlerts:
        """What people do about alerts."""
        return OperateAlerts(
            database=self.database,
            clock=self.clock,
            teller=self.teller,
            remind_every=self.settings.alerts.remind_every,
        )

    @cached_property
    def renderer(self) -> "Renderer":
        """Facts into words, by the user's templates first."""
        from balancebot.notify.render import Renderer

        return Renderer(words=self.words, public_url=self.public_url, user_dir=self.settings.templates.dir)

    @cached_property
    def slack(self) -> "SlackChannel | SlackWebhook | None":
        """Slack, by whichever way is configured."""
        slack = self.settings.slack
        return None if slack is None else outside.slack(slack, self.renderer, self.database)

    @cached_property
    def email(self) -> "SmtpChannel | None":
        """E-mail."""
        email = self.settings.email
        return None if email is None else outside.email(email, self.renderer)

    @cached_property
    def channels(self) -> Mapping[str, Channel]:
        """The ways to tell people that are configured."""
        if self._say is not None:
            return outside.shown(self.settings, self.renderer, self._say)
        configured: tuple[Channel | None, ...] = (self.slack, self.email)
        return {channel.name: channel for channel in configured if channel is not None}

    def check_channels(self) -> Iterator[tuple[str, Finding]]:
        """Try each channel without sending anything, and yield what was found."""
        yield from outside.check_slack(self.settings, self.slack)
        if self.email is not None:
            for finding in self.email.check():
                yield "email", finding

    def digest_text(self, facts: DigestFacts) -> str:
        """Return a digest as its mail's plain text."""
        return self.renderer.render("email/digest.txt.j2", facts)

    def digest_page(self, facts: DigestFacts) -> str:
        """Return a digest as its mail's HTML, as a page of its own."""
        from balancebot.notify.email.compose import html_page

        return html_page(facts, self.renderer)

    @cached_property
    def deliver_outbox(self) -> "DeliverOutbox":
        """Sending what waits."""
        from balancebot.notify.worker import DeliverOutbox

        return DeliverOutbox(
            self.database,
            self.channels,
            self.clock,
            self.worker_id,
            group_over=self.settings.alerts.group_over,
            defaults=self.settings.routing.defaults,
        )

    @cached_property
    def send_digest(self) -> "SendDigest":
        """Digests."""
        from balancebot.digest.digest import SendDigest

        return SendDigest(
            database=self.database,
            clock=self.clock,
            digests=self.settings.digests,
            zone=self.settings.timezone,
            thresholds=self.thresholds,
            figures=self.figures,
            configured=lambda: self.settings.wallets,
            stale_after=self.settings.poll.stale_after,
        )

    @cached_property
    def preview_limits(self) -> "PreviewLimits":
        """What other limits would do."""
        from balancebot.thresholds.preview import Backtest, PreviewLimits

        return PreviewLimits(
            database=self.database,
            backtest=Backtest(
                zone=self.settings.timezone.key,
                confidence=self.settings.alerts.runway_confidence,
                margin=self.settings.alerts.recovery_margin,
            ),
            stale_after=self.settings.poll.stale_after,
        )

    @cached_property
    def heartbeat(self) -> "Heartbeat | None":
        """The dead man's switch."""
        from balancebot.notify.heartbeat import Heartbeat

        heartbeat = self.settings.heartbeat
        return None if heartbeat is None else Heartbeat(heartbeat.url, proxy=heartbeat.proxy)

    def sync_wallets(self) -> None:
        """Make the configured wallets known, and let the others rest."""
        from balancebot.poll.judge_wallets import sync_wallets

        sync_wallets(self.database, self.settings.wallets, teller=self.teller, now=self.clock.now())

    def reread_apps(self) -> None:
        """Take files of apps that have changed: their wallets are read from now on, those gone no more."""
        accounts = self._apps_watch.look()
        if accounts is not None:
            self.settings = replace(self.settings, accounts=accounts)
            self.source.configure(outside.endpoints(accounts))
            self._wallets_unsynced = True
        if self._wallets_unsynced:
            self.sync_wallets()  # which may fail with the database; it is then tried again
            self._wallets_unsynced = False

    def presence(self, kind: str) -> WorkerHeartbeat:
        """Return this process's signs of life."""
        return WorkerHeartbeat(database=self.database, clock=self.clock, worker_id=self.worker_id, kind=kind)

    def standing(self) -> "SystemStatus":
        """Return how all things stand now."""
        from balancebot.overview.system import system_status

        with self.database.read() as conn:
            return system_status(
                conn,
                book=self.thresholds.book(conn),
                stale_after=self.settings.poll.stale_after,
                now=self.clock.now(),
            )

    def unready(self) -> str:
        """Return why the bot isn't ready in a line, '' when it is: the database answers and the cycle is on time."""
        from balancebot.poll.cycle import LAST_CYCLE
        from balancebot.store import installation
        from balancebot.store.errors import DatabaseError

        try:
            with self.database.read() as conn:
                last = installation.find(conn, LAST_CYCLE)
        except DatabaseError as error:
            return str(error)
        if last is None:
            return "no poll cycle has ended yet"
        late = self.clock.now() - last.at - self.settings.poll.every - self._longest_round
        return f"the last poll cycle ended at {last.at:%Y-%m-%d %H:%M:%S} UTC" if late > timedelta() else ""

    @property
    def words(self) -> "Wording":
        """The language and the time zone of messages."""
        from balancebot.i18n import Wording

        return Wording(language=self.settings.language, zone=self.settings.timezone)

    @property
    def public_url(self) -> str:
        """Where the pages are; '' where there are none."""
        return "" if self.settings.web is None else self.settings.web.public_url

    @property
    def round_budget(self) -> timedelta:
        """Bound a round so that every wallet has its turn, and a server that trickles can't hold it."""
        return max(self.settings.poll.every, self._longest_round)

    @property
    def _longest_round(self) -> timedelta:
        """What a round needs when requests are paced, or servers answer late."""
        poll = self.settings.poll
        paced = len(self.settings.wallets) / poll.max_rate * 1.5 if poll.max_rate else 0.0
        return max(_LEAST_BUDGET, 3 * poll.timeout, timedelta(seconds=paced))

    def close(self) -> None:
        """Give back connections and threads."""
        for made in ("source", "slack", "email"):
            part = self.__dict__.get(made)
            if part is not None:
                part.close()
        self.database.dispose()
