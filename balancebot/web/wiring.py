"""Makes what pages are answered from out of the app."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from balancebot.app import App
from balancebot.config import WebConfig
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import ThresholdBook
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.explain.explain import Explanation, explain
from balancebot.notify.resend import OperateDeliveries
from balancebot.overview.latest import LatestOverview
from balancebot.people.log_in import LogIn
from balancebot.thresholds.changes import EditThresholds
from balancebot.web.context import WebContext


def web_context_of(bot: App, web: WebConfig, *, metrics: Callable[[], bytes]) -> WebContext:
    """Return what the pages of a bot stand on."""
    settings = bot.settings

    def explained(
        conn: Connection, wallet: WalletName, category: Category | None, book: ThresholdBook, now: datetime
    ) -> Explanation:
        return explain(conn, wallet, category, settings=bot.settings, book=book, now=now)

    return WebContext(
        database=bot.database,
        clock=bot.clock,
        log_in=LogIn(bot.database, web.secret_key),
        operate_alerts=bot.operate_alerts,
        operate_deliveries=OperateDeliveries(database=bot.database, clock=bot.clock),
        edit_thresholds=EditThresholds(
            database=bot.database, clock=bot.clock, known=lambda: bot.settings.wallets
        ),
        thresholds=bot.thresholds,
        latest=LatestOverview(bot.database, bot.thresholds, stale_after=settings.poll.stale_after),
        figures=bot.figures,
        preview=bot.preview_limits,
        announce=PlannedSends(
            database=bot.database,
            clock=bot.clock,
            known=lambda: bot.settings.wallets,
            estimator=bot.estimator,
        ),
        explain=explained,
        stale_after=settings.poll.stale_after,
        language=settings.language,
        zone=settings.timezone,
        public_url=web.public_url,
        metrics=metrics,
        unready=bot.unready,
        templates_dir=settings.templates.dir,
    )
