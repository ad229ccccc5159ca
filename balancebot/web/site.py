"""What the pages stand on: the use-cases and settings that every request is answered from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import ThresholdBook
from balancebot.ports import Clock
from balancebot.settings import Language
from balancebot.storage.database import Database
from balancebot.usecases.alerting.operate_alerts import OperateAlerts
from balancebot.usecases.backtesting.preview_limits import PreviewLimits
from balancebot.usecases.delivering.operate_deliveries import OperateDeliveries
from balancebot.usecases.estimating.announce_sends import AnnounceSends
from balancebot.usecases.estimating.figures import Figures
from balancebot.usecases.explaining.explain import Explanation
from balancebot.usecases.limits.edit_thresholds import EditThresholds
from balancebot.usecases.limits.shelf import ThresholdShelf
from balancebot.usecases.people.log_in import LogIn
from balancebot.usecases.showing.latest_overview import LatestOverview
from balancebot.web.balances_list import Lists

Explain: TypeAlias = Callable[[Connection, WalletName, Category | None, ThresholdBook, datetime], Explanation]
"""Tells the whole chain behind a balance, as of an instant and by the rows of a book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything the pages need, wired once."""

    database: Database
    clock: Clock
    log_in: LogIn
    operate_alerts: OperateAlerts
    operate_deliveries: OperateDeliveries
    edit_thresholds: EditThresholds
    thresholds: ThresholdShelf
    latest: LatestOverview
    figures: Figures
    preview: PreviewLimits
    announce: AnnounceSends
    explain: Explain
    stale_after: timedelta
    language: Language
    zone: ZoneInfo
    public_url: str
    """Without a slash at its end. With https, cookies are for https only."""
    metrics: Callable[[], bytes]
    """Prometheus text."""
    unready: Callable[[], str]
    """Why the bot isn't ready, in a line; '' when it is."""
    lists: Lists = field(default_factory=Lists)
    templates_dir: Path | None = None
    """Where the operator's own templates stand."""

    @property
    def is_https(self) -> bool:
        """Whether people reach the pages by https."""
        return self.public_url.startswith("https://")
