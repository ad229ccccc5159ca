"""What other limits would do, as `thresholds preview` shows it: now, and in the last 30 days next to today's limits."""

from collections.abc import Iterable, Iterator

from balancebot.cli.as_json import instant
from balancebot.cli.many import many
from balancebot.cli.paint import bold, faint, of_severity
from balancebot.domain.backtest import Ending, Episode
from balancebot.domain.threshold_edit import RowChange
from balancebot.usecases.backtesting.backtest import Comparison
from balancebot.usecases.backtesting.preview_limits import Effect, Prospect, Retrospect, Shift
from balancebot.wording import Wording

_EFFECTS = {
    Effect.OPENS: "would open",
    Effect.WORSENS: "would worsen to",
    Effect.EASES: "would ease to",
    Effect.CLOSES: "would close",
}


def for_people(changes: Iterable[RowChange], ahead: Prospect, back: Retrospect, words: Wording) -> str:
    """Write the change, its effects now, and the course of each balance that was looked back at."""
    return "\n\n".join(
        "\n".join(part)
        for part in (
            list(map(str, changes)) or ["Nothing would change: that is how it stands."],
            list(_now(ahead, words)),
            *([bold(str(one.balance)), *_course(one, words)] for one in back.comparisons),
            [faint(line) for line in _left_out(back, ahead)],
        )
        if part
    )


def for_scripts(ahead: Prospect, back: Retrospect) -> dict[str, object]:
    """Return the same with stable names."""
    return {
        "balances_changed": ahead.num_moved,
        "now": [
            {
                "wallet": shift.balance.wallet,
                "category": shift.balance.category,
                "effect": shift.effect,
                "before": shift.before.word,
                "after": shift.after.word,
            }
            for shift in ahead.shifts
        ],
        "last_30_days": [
            {
                "wallet": one.balance.wallet,
                "category": one.balance.category,
                "since": instant(one.since),
                "with_these": [_episode_as_json(episode) for episode in one.after],
                "with_todays": [_episode_as_json(episode) for episode in one.before],
            }
            for one in back.comparisons
        ],
    }


def _now(ahead: Prospect, words: Wording) -> Iterator[str]:
    if not ahead.num_moved:
        yield "No balance would have other limits."
        return
    yield f"{many(ahead.num_moved, 'balance')} would have other limits. " + (
        "Now:" if ahead.shifts else "No alert would open or close now."
    )
    for shift in ahead.shifts:
        yield f"  {_shift(shift, words)}"


def _shift(shift: Shift, words: Wording) -> str:
    effect = _EFFECTS[shift.effect]
    if shift.effect is not Effect.CLOSES:
        effect = f"{effect} {of_severity(shift.after.word, shift.after)}"
    reason = "" if shift.crossed is None else f": {words.crossed(shift.crossed)}"
    return f"{shift.balance} {effect}{reason}"


def _course(one: Comparison, words: Wording) -> Iterator[str]:
    yield f"  in the last 30 days (history since {words.when(one.since)})"
    for title, episodes in (("with these limits", one.after), ("with today's", one.before)):
        yield f"  {title}: " + ("" if episodes else "silent")
        for episode in episodes:
            yield f"    {_told(episode, words)}; {_ending(episode, words)}"


def _told(episode: Episode, words: Wording) -> str:
    return ", ".join(
        f"{of_severity(told.severity.word, told.severity)} {words.when(told.at)}" for told in episode.told
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


def _left_out(back: Retrospect, ahead: Prospect) -> Iterator[str]:
    if ahead.num_moved and not back.comparisons:
        yield "There is no history to look back at yet."
    if back.num_left_out:
        yield f"These run out first; {back.num_left_out:,} more were not looked back at."


def _episode_as_json(episode: Episode) -> dict[str, object]:
    return {
        "told": [
            {"at": instant(told.at), "severity": told.severity.word, "reason": told.reason.value}
            for told in episode.told
        ],
        "ending": episode.ending,
        "ended_at": instant(episode.ended_at),
        "notice_seconds": None if episode.notice is None else episode.notice.total_seconds(),
    }
