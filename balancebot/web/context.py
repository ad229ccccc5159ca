"""What pages are answered from: the use cases and settings, made from the app."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from balancebot.alerts.acts import OperateAlerts
from balancebot.config import Language
from balancebot.domain.balance import Category, WalletName
from balancebot.domain.threshold import ThresholdBook
from balancebot.estimates.context import MessageContext
from balancebot.estimates.planned_sends import PlannedSends
from balancebot.explain.explain import Explanation
from balancebot.notify.resend import OperateDeliveries
from balancebot.overview.latest import LatestOverview
from balancebot.people.log_in import LogIn
from balancebot.ports import Clock
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache
from balancebot.thresholds.changes import EditThresholds
from balancebot.thresholds.preview import PreviewLimits
from balancebot.web.overview_lists import OverviewLists

Explain: TypeAlias = Callable[[Connection, WalletName, Category | None, ThresholdBook, datetime], Explanation]
"""Tells the whole chain behind a balance, as of an instant and by the rows of a book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    """Everything the pages need, wired once."""

    database: Database
    clock: Clock
    log_in: LogIn
    operate_alerts: OperateAlerts
    operate_deliveries: OperateDeliveries
    edit_thresholds: EditThresholds
    thresholds: ThresholdCache
    latest: LatestOverview
    figures: MessageContext
    preview: PreviewLimits
    announce: PlannedSends
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
    lists: OverviewLists = field(default_factory=OverviewLists)
    templates_dir: Path | None = None
    """Where the operator's own templates stand."""

    @property
    def is_https(self) -> bool:
        """Whether people reach the pages by https."""
        return self.public_url.startswith("https://")
