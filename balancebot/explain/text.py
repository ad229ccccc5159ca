"""An explanation in plain words, the same for the command, the pages and Slack, in either language.

Text only: each face lays it out, and escapes it, as it needs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from balancebot.domain.balance import Absent
from balancebot.domain.threshold import LimitColumn, Scope
from balancebot.domain.verdict import COUNTS, Severity
from balancebot.explain.explain import AlertExplanation, BalanceExplanation, Explanation, LimitCheck
from balancebot.explain.phrases import Topic
from balancebot.explain.sentences import PHRASES, Sentences
from balancebot.i18n import Wording

_HOURS_PER_DAY = 24.0
_CHAPTERS = 6
"""So many of the latest notifications of an alert are told; the page has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Some sentences about one topic."""

    topic: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All that is said of a balance, or of a wallet as a whole."""

    heading: str
    paragraphs: tuple[Paragraph, ...]


def sections(explanation: Explanation, words: Wording) -> tuple[Section, ...]:
    """Tell an explanation: one passage for a balance; for a wallet its own first, then one per allocated balance."""
    return tuple(_TextWriter(explanation, words).passages())


class _TextWriter:
    """Says one explanation in one language."""

    def __init__(self, explanation: Explanation, words: Wording) -> None:
        self._told = explanation
        self._words = words
        self._say = PHRASES[words.language]
        self._sentences = Sentences(words=words, now=explanation.at)

    def passages(self) -> Iterator[Section]:
        told = self._told
        if told.category is not None:
            (story,) = told.balances
            yield self._passage(self._heading(story), self._balance(story, alone=True))
            return
        shown = [story for story in told.balances if story.view.reading is not Absent.UNALLOCATED]
        yield self._passage(told.wallet, self._wallet(told))
        for story in shown:
            yield self._passage(self._heading(story), self._balance(story, alone=False))

    def _passage(self, heading: str, said: Iterable[tuple[Topic, str]]) -> Section:
        by_topic: dict[Topic, list[str]] = {}
        for topic, line in said:
            by_topic.setdefault(topic, []).append(line)
        return Section(
            heading=heading,
            paragraphs=tuple(
                Paragraph(topic=self._say.topics[topic], lines=tuple(by_topic[topic]))
                for topic in Topic
                if topic in by_topic
            ),
        )

    def _heading(self, story: BalanceExplanation) -> str:
        view, words = story.view, self._words
        return self._say.heading.format(
            name=view.key, severity=words.severity(view.severity), reading=words.reading(view.reading)
        )

    def _wallet(self, told: Explanation) -> Iterator[tuple[Topic, str]]:
        row = told.row
        if row is None or row.observed_at is None:
            yield Topic.READING, self._say.never_read
        else:
            yield (
                Topic.READING,
                self._say.only_read.format(
                    ago=self._ago(row.observed_at), when=self._words.when(row.observed_at)
                ),
            )
        yield from self._reach()
        absent = [
            story.view.key.category for story in told.balances if story.view.reading is Absent.UNALLOCATED
        ]
        if absent:
            names = self._say.comma.join(map(self._words.category, absent))
            yield Topic.READING, self._say.unallocated.format(categories=names)
        for story in told.alerts:
            yield from self._alert(story)

    def _balance(self, story: BalanceExplanation, *, alone: bool) -> Iterator[tuple[Topic, str]]:
        view, words, say = story.view, self._words, self._say
        if alone:
            yield Topic.READING, self._reading(story)
            if view.is_stale:
                yield Topic.READING, say.stale.format(age=words.elapsed(self._told.stale_after))
            yield from self._reach()
        if isinstance(view.reading, int):
            yield Topic.USE, self._use(story)
            burst = words.not_counted(view.estimate.not_counted, view.estimate.not_counted_at)
            if burst:
                yield Topic.USE, burst
        if view.reading is not Absent.UNALLOCATED:
            for line in self._limits(story):
                yield Topic.LIMITS, line
            yield Topic.VERDICT, self._verdict(story)
        for alert in story.alerts:
            yield from self._alert(alert)
        if not story.alerts:
            yield Topic.ALERT, say.no_alert
            if story.last_closed is not None and story.last_closed.closed_at is not None:
                yield (
                    Topic.ALERT,
                    say.last_alert.format(
                        id=story.last_closed.id, when=words.when(story.last_closed.closed_at)
                    ),
                )
            for silence in story.silences:
                yield (
                    Topic.ALERT,
                    self._silence(silence.until, silence.created_by, silence.pattern, silence.reason),
                )
        if alone:
            for alert in self._told.alerts:
                yield from self._alert(alert)
        for line in self._sentences.outlook(story):
            yield Topic.OUTLOOK, line

    def _reading(self, story: BalanceExplanation) -> str:
        view = story.view
        if view.observed_at is None:
            return self._say.never_read
        return self._say.read.format(
            reading=self._words.reading(view.reading),
            ago=self._ago(view.observed_at),
            when=self._words.when(view.observed_at),
        )

    def _reach(self) -> Iterator[tuple[Topic, str]]:
        """Say what is known of the wallet's reading beyond its last good one."""
        told, row, say = self._told, self._told.row, self._say
        if row is not None:
            if row.suspect_since is not None:
                yield Topic.READING, say.suspect.format(when=self._words.when(row.suspect_since))
            if row.error_kind is not None and row.attempted_at is not None:
                error = self._words.trouble(row.error_message).rstrip(".")
                yield Topic.READING, say.failed.format(ago=self._ago(row.attempted_at), error=error)
        if not told.is_configured:
            yield Topic.READING, say.left_configuration
        elif row is not None:
            wait = row.next_read_at - told.at
            line = (
                say.next_in.format(span=self._sentences.since(wait))
                if row.next_read_at > told.at
                else say.due
            )
            yield Topic.READING, line

    def _use(self, story: BalanceExplanation) -> str:
        estimate, words = story.view.estimate, self._words
        burn = words.burn(estimate.burn_per_day)
        if estimate.runway is None:
            form = self._say.use_unknown if estimate.burn_per_day is None else self._say.runway_unknown
            return form.format(burn=burn)
        runway = words.runway(estimate.runway)
        if not words.runway_between(estimate.runway):
            return self._say.use_certain.format(burn=burn, runway=runway)
        return self._say.use.format(
            burn=burn,
            runway=runway,
            certainty=round(self._told.confidence * 100),
            judged=words.sure(estimate.runway.judged / _HOURS_PER_DAY),
        )

    def _limits(self, story: BalanceExplanation) -> Iterator[str]:
        checks = [check for check in story.limits if check.limit is not None or check.origin is not None]
        if not checks:
            yield self._say.no_limits
        for check in checks:
            yield self._limit(check)
        effective = story.view.effective
        if effective.note:
            origin = self._origin(effective.origins.note)
            yield self._say.note.format(note=effective.note.rstrip(".。"), origin=origin)

    def _limit(self, check: LimitCheck) -> str:
        say, words = self._say, self._words
        origin = self._origin(check.origin)
        severity = words.severity(check.severity)
        if check.limit is None:
            return say.off.format(severity=severity, origin=origin)
        if check.value is None:
            state = say.unjudged
        else:
            form = say.crossed if check.is_crossed else say.met
            state = form.format(value=self._value(check.column, check.value))
        form = say.count_limit if check.column in COUNTS else say.days_limit
        return form.format(
            severity=severity,
            limit=self._sentences.bar(check.column, check.limit),
            origin=origin,
            state=state,
        )

    def _origin(self, row: Scope | None) -> str:
        return self._say.built_in if row is None else self._say.set_for.format(row)

    def _value(self, column: LimitColumn, value: float) -> str:
        if column in COUNTS:
            return self._words.messages(int(value))
        return self._words.sure(value)

    def _verdict(self, story: BalanceExplanation) -> str:
        say, severity = self._say, self._words.severity(story.view.severity)
        if story.view.severity is Severity.UNKNOWN:
            return say.no_fresh_reading.format(severity=severity)
        if story.verdict.crossed is not None:
            return say.verdict.format(severity=severity, crossed=self._words.crossed(story.verdict.crossed))
        form = say.nothing_crossed if story.view.effective.limits.any else say.nothing_applies
        return form.format(severity=severity)

    def _alert(self, story: AlertExplanation) -> Iterator[tuple[Topic, str]]:
        alert, words, say = story.alert, self._words, self._say
        yield (
            Topic.ALERT,
            say.alert.format(
                id=alert.id,
                kind=words.kind(alert.subject.kind),
                severity=words.severity(alert.severity),
                when=words.when(alert.opened_at),
                span=self._ago(alert.opened_at),
            ),
        )
        if story.message.is_recovering:
            yield Topic.ALERT, say.held.format(words.limit(story.message))
        if alert.members:
            yield Topic.ALERT, say.shared.format(count=len(alert.members))
        if story.message.measurement.detail:
            yield Topic.ALERT, f"{words.trouble(story.message.measurement.detail).rstrip('.')}."
        if alert.peak is None:
            yield Topic.ALERT, say.untold
        elif alert.peak is not alert.severity:
            yield Topic.ALERT, say.peak.format(severity=words.severity(alert.peak))
        if alert.is_flapping:
            span = words.elapsed(alert.calm_for)
            yield Topic.ALERT, say.flapping.format(count=alert.flaps, span=span)
        if alert.calm_since is not None:
            yield Topic.ALERT, say.calm.format(when=words.when(alert.calm_since))
        if alert.relapses:
            yield Topic.ALERT, say.relapses.format(count=alert.relapses)
        if alert.acknowledged_at is not None:
            yield (
                Topic.ALERT,
                say.acknowledged.format(
                    who=alert.acknowledged_by,
                    when=words.when(alert.acknowledged_at),
                    note=self._because(alert.acknowledged_note),
                ),
            )
        for silence in story.silences:
            yield (
                Topic.ALERT,
                self._silence(silence.until, silence.created_by, silence.pattern, silence.reason),
            )
        if story.silences and alert.mute_lifted:
            yield Topic.ALERT, say.lifted
        for chapter in story.chapters[:_CHAPTERS]:
            line = self._sentences.chapter(chapter)
            if line:
                yield Topic.TOLD, line

    def _silence(self, until: datetime, who: str, pattern: object, reason: str) -> str:
        return self._say.silenced.format(
            when=self._words.ahead(until, now=self._told.at),
            who=who,
            pattern=pattern,
            note=self._because(reason),
        )

    def _because(self, reason: str) -> str:
        return self._say.reason.format(reason.rstrip(".。")) if reason else ""

    def _ago(self, at: datetime) -> str:
        return self._sentences.since(self._told.at - at)
