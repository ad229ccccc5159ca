"""Rows of thresholds and their changes as tables, JSON and text."""

from collections.abc import Iterable, Iterator, Sequence

from balancebot.catalogue import number
from balancebot.cli.output import Column, bold, faint, json_instant, of_severity, plural
from balancebot.domain.audit import AuditEntry
from balancebot.domain.balance import Category
from balancebot.domain.threshold import ThresholdRow
from balancebot.domain.threshold_cell import written
from balancebot.forecast.backtest import Ending, Episode
from balancebot.i18n import Wording
from balancebot.thresholds.changes import EditThresholds
from balancebot.thresholds.edit import RowChange
from balancebot.thresholds.preview import Comparison, Effect, PastEffects, PresentEffects, SeverityChange

COLUMNS = (
    Column("wallet"),
    Column("category"),
    Column("warning below", is_number=True),
    Column("critical below", is_number=True),
    Column("warning days", is_number=True),
    Column("critical days", is_number=True),
    Column("lead time", is_number=True),
    Column("note"),
)


def rows_of(editing: EditThresholds) -> Iterable[ThresholdRow]:
    """Return the rows that are set, by wallet and category."""
    return sorted(editing.book().rows, key=lambda row: (row.wallet, row.category or ""))


def effective_rows(editing: EditThresholds) -> Iterable[ThresholdRow]:
    """Yield the effective limits of each balance, as if it had a row of its own."""

    book = editing.book()
    for wallet in editing.known():
        for category in Category:
            holds = book.effective(wallet, category)
            yield ThresholdRow(
                wallet=wallet,
                category=category,
                warning_below=holds.limits.warning_below,
                critical_below=holds.limits.critical_below,
                warning_days=holds.limits.warning_days,
                critical_days=holds.limits.critical_days,
                lead_time_days=holds.lead_time_days,
                note=holds.note,
            )


def row_cells(row: ThresholdRow) -> Sequence[str]:
    """Return the cells of a row under `COLUMNS`."""

    limits = (row.warning_below, row.critical_below, row.warning_days, row.critical_days, row.lead_time_days)
    return (
        row.wallet,
        row.category or "*",
        *(number(limit) if isinstance(limit, int) else written(limit) for limit in limits),
        row.note.replace("\n", " / "),
    )


def change_as_json(entry: AuditEntry) -> dict[str, object]:
    """Return a change; `before` and `after` have the cells that were set, as in a sheet; None = no row."""
    wallet, _, category = entry.subject.rpartition(":")
    return {
        "at": json_instant(entry.at),
        "who": entry.actor,
        "way": entry.via,
        "wallet": wallet,
        "category": category,
        "before": None if entry.before is None else dict(entry.before),
        "after": None if entry.after is None else dict(entry.after),
    }


def difference(entry: AuditEntry) -> str:
    """Describe the change of a row."""
    before, after = dict(entry.before or {}), dict(entry.after or {})
    if not after:
        return "removed " + ", ".join(f"{column} {value}" for column, value in before.items())
    return ", ".join(
        f"{column} {before.get(column, 'inherit')} -> {after.get(column, 'inherit')}"
        for column in dict.fromkeys((*before, *after))
        if before.get(column) != after.get(column)
    )


_EFFECTS = {
    Effect.OPENS: "would open",
    Effect.WORSENS: "would worsen to",
    Effect.EASES: "would ease to",
    Effect.CLOSES: "would close",
}


def for_people(changes: Iterable[RowChange], ahead: PresentEffects, back: PastEffects, words: Wording) -> str:
    """Return the change, its present effects, and the past alerts of each balance that was backtested."""
    return "\n\n".join(
        "\n".join(part)
        for part in (
            list(map(str, changes)) or ["Nothing would change: these are the present limits."],
            list(_now(ahead, words)),
            *(
                [bold(str(comparison.balance)), *_past_alerts(comparison, words)]
                for comparison in back.comparisons
            ),
            [faint(line) for line in _left_out(back, ahead)],
        )
        if part
    )


def _now(ahead: PresentEffects, words: Wording) -> Iterator[str]:
    if not ahead.num_moved:
        yield "No balance would get different limits."
        return
    yield f"{plural(ahead.num_moved, 'balance')} would get different limits. " + (
        "Now:" if ahead.shifts else "No alert would open or close now."
    )
    for shift in ahead.shifts:
        yield f"  {_shift(shift, words)}"


def _shift(shift: SeverityChange, words: Wording) -> str:
    effect = _EFFECTS[shift.effect]
    if shift.effect is not Effect.CLOSES:
        effect = f"{effect} {of_severity(shift.after.word, shift.after)}"
    reason = "" if shift.crossed is None else f": {words.crossed(shift.crossed)}"
    return f"{shift.balance} {effect}{reason}"


def _past_alerts(comparison: Comparison, words: Wording) -> Iterator[str]:
    yield f"  in the last 30 days (history since {words.when(comparison.since)})"
    for title, episodes in (("with these limits", comparison.after), ("with today's", comparison.before)):
        yield f"  {title}: " + ("" if episodes else "silent")
        for episode in episodes:
            yield f"    {_messages(episode, words)}; {_ending(episode, words)}"


def _messages(episode: Episode, words: Wording) -> str:
    return ", ".join(
        f"{of_severity(notice.severity.word, notice.severity)} {words.when(notice.at)}"
        for notice in episode.notices
    )


def _ending(episode: Episode, words: Wording) -> str:
    notice = episode.notice
    match episode.ending:
        case Ending.RAN_OUT:
            return f"{words.elapsed(notice)} before it ran out" if notice else "only as it ran out"
        case Ending.TOPPED_UP:
            return f"{words.elapsed(notice)} before it was topped up" if notice else "as it was topped up"
        case Ending.RECOVERED:
            return "recovered without a purchase"
        case Ending.STILL_OPEN:
            return "still open"


def _left_out(back: PastEffects, ahead: PresentEffects) -> Iterator[str]:
    if ahead.num_moved and not back.comparisons:
        yield "There is no history yet."
    if back.num_left_out:
        yield f"These run out first; {back.num_left_out:,} more were not backtested."
