"""From a bot to its pages."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from balancebot.bootstrap import Bot
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import ThresholdBook
from balancebot.settings import Web
from balancebot.usecases.delivering.operate_deliveries import OperateDeliveries
from balancebot.usecases.estimating.announce_sends import AnnounceSends
from balancebot.usecases.explaining.explain import Explanation, explain
from balancebot.usecases.limits.edit_thresholds import EditThresholds
from balancebot.usecases.people.log_in import LogIn
from balancebot.usecases.showing.latest_overview import LatestOverview
from balancebot.web.site import Site


def site_of(bot: Bot, web: Web, *, metrics: Callable[[], bytes]) -> Site:
    """Return what the pages of a bot stand on."""
    settings = bot.settings

    def explained(
        conn: Connection, wallet: WalletName, category: Category | None, book: ThresholdBook, now: datetime
    ) -> Explanation:
        return explain(conn, wallet, category, settings=bot.settings, book=book, now=now)

    return Site(
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
        announce=AnnounceSends(
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
        templates_dir=settings.templates_dir,
    )
