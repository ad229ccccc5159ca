"""Sentences of an explanation that need more than a form: what was told to whom, and what would make it speak."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from balancebot.config import Language
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.outlook import Outlook, OutlookKind
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import COUNTS
from balancebot.explain.chinese import CHINESE
from balancebot.explain.english import ENGLISH
from balancebot.explain.explain import BalanceExplanation
from balancebot.explain.phrases import ExplainPhrases
from balancebot.i18n import Wording
from balancebot.store.notification_history import DeliveryRecord, NotificationRecord

PHRASES = {Language.ENGLISH: ENGLISH, Language.CHINESE: CHINESE}
_UNFINISHED = frozenset({DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.GAVE_UP})
_SPEAKS = frozenset(
    {
        OutlookKind.CROSSES,
        OutlookKind.EMPTIES,
        OutlookKind.GOES_STALE,
        OutlookKind.NEXT_READING,
        OutlookKind.SECOND_READING,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """Says them in one language, as of `now`."""

    words: Wording
    now: datetime

    @property
    def say(self) -> ExplainPhrases:
        """The forms of the language."""
        return PHRASES[self.words.language]

    def chapter(self, chapter: NotificationRecord) -> str:
        """Tell what was told at once; mere edits only where they fail ('' where there is nothing)."""
        told = [
            delivery
            for delivery in chapter.deliveries
            if chapter.reason is not None or (delivery.state in _UNFINISHED and delivery.attempts)
        ]
        if not told:
            return ""
        return self.say.chapter.format(
            when=self.words.when(chapter.at),
            reason=self.say.edited if chapter.reason is None else self.words.reason(chapter.reason),
            severity=self.words.severity(chapter.message.alert.severity),
            deliveries=self.say.semicolon.join(
                dict.fromkeys(self._delivery(delivery, chapter.at) for delivery in told)
            ),
        )

    def outlook(self, story: BalanceExplanation) -> Iterator[str]:
        """Say what would make it speak or keeps it silent, and who would hear of it."""
        for prospect in story.prospects:
            yield self._prospect(prospect)
        if any(prospect.kind in _SPEAKS for prospect in story.prospects):
            places = [self._place(*listener) for listener in story.listeners]
            yield (
                self.say.tells.format(places=self.say.and_also.join(places))
                if places
                else self.say.tells_nobody
            )

    def since(self, time: timedelta) -> str:
        """Say how long ago something was, or how long it is until then."""
        return self.say.seconds if time < timedelta(minutes=1) else self.words.elapsed(time)

    def bar(self, column: LimitColumn, limit: float) -> str:
        """Say a limit with its unit."""
        return self.words.messages(int(limit)) if column in COUNTS else self.words.days(limit)

    def _delivery(self, delivery: DeliveryRecord, decided_at: datetime) -> str:
        return self._form_of(delivery).format(
            place=self._place(delivery.channel, delivery.destination),
            when=self._after(decided_at, delivery.settled_at or delivery.next_attempt_at),
            count=len(delivery.attempts),
            error=self.words.trouble(delivery.error_message)
            or (delivery.attempts[-1].outcome if delivery.attempts else ""),
        )

    def _after(self, before: datetime, at: datetime) -> str:
        """Write an instant that follows one which was just written: of the same day, the time is enough."""
        local = at.astimezone(self.words.zone)
        is_same_day = before.astimezone(self.words.zone).date() == local.date()
        return f"{local:%H:%M}" if is_same_day else self.words.when(at)

    def _form_of(self, delivery: DeliveryRecord) -> str:
        match delivery.state:
            case DeliveryState.DELIVERED:
                return self.say.delivered
            case DeliveryState.SENDING:
                return self.say.sending
            case DeliveryState.GAVE_UP:
                return self.say.gave_up
            case DeliveryState.SUPERSEDED:
                return self.say.carried if delivery.is_carried else self.say.dropped
            case DeliveryState.PENDING if delivery.in_doubt:
                return self.say.in_doubt
            case DeliveryState.PENDING:
                return self.say.retries if delivery.attempts else self.say.waits
            case _:
                assert_never(delivery.state)

    def _place(self, channel: str, destination: str) -> str:
        return self.say.channels.get(channel, f"{channel} {{}}").format(destination)

    def _prospect(self, prospect: Outlook) -> str:
        say, words = self.say, self.words
        if prospect.kind is OutlookKind.RECOVERS and not prospect.bars:
            return say.closes
        severity = "" if prospect.severity is None else words.severity(prospect.severity)
        when = "" if prospect.at is None else words.ahead(max(prospect.at, self.now), now=self.now)
        form = say.outlook[prospect.kind]
        if prospect.kind is OutlookKind.STAYS_WELL and prospect.at is not None:
            form = say.calms
        return form.format(
            severity=severity,
            when=when,
            stays="" if prospect.stays is None else words.elapsed(prospect.stays),
            lifts=say.lifts.format(severity=severity) if severity else "",
            crossing=self._crossing(prospect),
            expected=say.around.format(when=when) if when else say.not_in_sight if prospect.is_far else "",
            bars=say.and_also.join(
                (say.bar_messages if column in COUNTS else say.bar_days).format(self.bar(column, limit))
                for column, limit in _highest(prospect)
            ),
        )

    def _crossing(self, prospect: Outlook) -> str:
        if prospect.column is None or prospect.limit is None:
            return ""
        form = self.say.fewer if prospect.column in COUNTS else self.say.shorter
        return form.format(limit=self.bar(prospect.column, prospect.limit))


def _highest(prospect: Outlook) -> Iterator[tuple[LimitColumn, float]]:
    """Yield of the limits in messages, and of those in days, the highest: that one has to be reached."""
    for columns in (COUNTS, frozenset(LimitColumn) - COUNTS):
        bars = [(column, limit) for column, limit in prospect.bars if column in columns]
        if bars:
            yield max(bars, key=lambda bar: bar[1])
