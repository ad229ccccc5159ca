"""What is said in an explanation, in each language. A form with `{}` takes the figures that it speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from balancebot.domain.outlook import OutlookKind


class Topic(StrEnum):
    """What a line of an explanation is about, in the order of the chain."""

    READING = "reading"
    USE = "use"
    LIMITS = "limits"
    VERDICT = "verdict"
    ALERT = "alert"
    TOLD = "told"
    OUTLOOK = "outlook"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainPhrases:
    """One language's sentences."""

    topics: Mapping[Topic, str]
    channels: Mapping[str, str]
    heading: str
    # reading
    left_configuration: str
    never_read: str
    read: str
    only_read: str
    stale: str
    suspect: str
    failed: str
    next_in: str
    due: str
    unallocated: str
    # use
    use: str
    use_certain: str
    use_unknown: str
    runway_unknown: str
    # limits
    count_limit: str
    days_limit: str
    off: str
    built_in: str
    set_for: str
    crossed: str
    met: str
    unjudged: str
    no_limits: str
    note: str
    # verdict
    verdict: str
    nothing_crossed: str
    nothing_applies: str
    no_fresh_reading: str
    # alert
    no_alert: str
    last_alert: str
    alert: str
    shared: str
    peak: str
    untold: str
    acknowledged: str
    silenced: str
    lifted: str
    held: str
    flapping: str
    calm: str
    relapses: str
    # told
    chapter: str
    edited: str
    delivered: str
    waits: str
    retries: str
    sending: str
    in_doubt: str
    gave_up: str
    carried: str
    dropped: str
    # outlook
    outlook: Mapping[OutlookKind, str]
    lifts: str
    fewer: str
    shorter: str
    around: str
    not_in_sight: str
    bar_messages: str
    bar_days: str
    closes: str
    calms: str
    tells: str
    tells_nobody: str
    # joining
    comma: str
    and_also: str
    seconds: str
    semicolon: str
    reason: str
