"""What is told to one person on request: a short list of balances, and why one stands as it does."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from balancebot.config import Settings
from balancebot.domain.alert import Alert
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.sentence import Sentence, did_you_mean, sentence
from balancebot.domain.verdict import Severity
from balancebot.explain.explain import explain, read_target
from balancebot.explain.render import Face, render
from balancebot.i18n import Wording, mark
from balancebot.notify.slack.responses import escaped
from balancebot.overview.balances import BalanceView, overview
from balancebot.ports import Clock
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache

_SHOWN = 15
_WORST_FIRST = (Severity.DEPLETED, Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN, Severity.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackQueries:
    """Reads the database and says it in Slack's markup."""

    database: Database
    clock: Clock
    settings: Callable[[], Settings]
    thresholds: ThresholdCache
    words: Wording

    def listed(self, text: str) -> str:
        """List the balances that a pattern means, or whose wallet's name holds the text, worst first."""
        views = self._views()
        pattern = Pattern.parse(text or "*")
        wanted = (
            [view for view in views if pattern.matches(*view.key)] if isinstance(pattern, Pattern) else []
        )
        if text and not wanted:
            wanted = [view for view in views if text.casefold() in str(view.key).casefold()]
        if not wanted:
            hint = did_you_mean(text, (view.key.wallet for view in views))
            return escaped(
                self.words.translate(
                    sentence("No balance matches %(pattern)s%(hint)s", pattern=text, hint=hint)
                )
            )
        lines = [self._line(view) for view in sorted(wanted, key=_urgency)]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [
                self.words.gettext(
                    "… and %(count)s more: narrow it down with a pattern such as `/balance acme/*:market`.",
                    count=self.words.number(len(lines) - _SHOWN),
                )
            ]
        return "\n".join(lines)

    def means_something(self, pattern: Pattern | Patterns) -> bool:
        """Tell whether a pattern means a wallet that is configured, or a balance of one."""
        kinds = (None, *Category)
        return any(pattern.matches(wallet, kind) for wallet in self.settings().wallets for kind in kinds)

    def why(self, text: str) -> str:
        """Tell the chain behind a balance or a wallet."""
        with self.database.read() as conn:
            asked = read_target(conn, text, configured=self.settings().wallets)
            if isinstance(asked, Sentence):
                return escaped(self.words.translate(asked))
            return self._explained(conn, *asked)

    def why_alert(self, alert: Alert) -> str:
        """Tell the chain behind what an alert is about."""
        with self.database.read() as conn:
            return self._explained(conn, alert.subject.wallet, alert.subject.category)

    def _explained(self, conn: Connection, wallet: WalletName, category: Category | None) -> str:
        explanation = explain(
            conn,
            wallet,
            category,
            settings=self.settings(),
            book=self.thresholds.book(conn),
            now=self.clock.now(),
        )
        return render(explanation, self.words, Face.SLACK)

    def _views(self) -> list[BalanceView]:
        settings = self.settings()
        with self.database.read() as conn:
            views = overview(
                conn,
                book=self.thresholds.book(conn),
                stale_after=settings.poll.stale_after,
                now=self.clock.now(),
                names=settings.wallets,
            )
        return [view for view in views if view.reading is not Absent.UNALLOCATED]

    def _line(self, view: BalanceView) -> str:
        parts = [f"*{escaped(str(view.key))}*", self.words.reading(view.reading)]
        if isinstance(view.reading, int) and view.reading > 0 and view.estimate.runway is not None:
            parts.append(self.words.runway(view.estimate.runway))
        return f"{mark(view.severity)} {' · '.join(parts)}"


def _urgency(view: BalanceView) -> tuple[int, float, BalanceKey]:
    runway = view.estimate.runway
    return (
        _WORST_FIRST.index(view.severity),
        float("inf") if runway is None else runway.judged,
        view.key,
    )
