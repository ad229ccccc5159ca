"""From a bot to its pages."""

from collections.abc import Callable

from balancebot.bootstrap import Bot
from balancebot.settings import Web
from balancebot.usecases.delivering.operate_deliveries import OperateDeliveries
from balancebot.usecases.estimating.announce_sends import AnnounceSends
from balancebot.usecases.limits.edit_thresholds import EditThresholds
from balancebot.usecases.people.log_in import LogIn
from balancebot.usecases.showing.latest_overview import LatestOverview
from balancebot.web.site import Site


def site_of(bot: Bot, web: Web, *, metrics: Callable[[], bytes]) -> Site:
    """Return what the pages of a bot stand on."""
    settings = bot.settings
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
        announce=AnnounceSends(database=bot.database, clock=bot.clock, known=lambda: bot.settings.wallets),
        stale_after=settings.poll.stale_after,
        language=settings.language,
        zone=settings.timezone,
        public_url=web.public_url,
        metrics=metrics,
        unready=bot.unready,
        templates_dir=settings.templates_dir,
    )
