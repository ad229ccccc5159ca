"""`/balance …`: the words after the command, read into what they ask for."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Final, TypeAlias

from balancebot.config import UnfitError
from balancebot.config.values import duration
from balancebot.domain.pattern import Pattern
from balancebot.domain.sentence import NO_SENTENCE, Sentence, sentence

_TOMORROW: Final = "tomorrow"
_MORNING = time(9)
_SILENCE = re.compile(r"(?P<pattern>.+?)\s+(?P<length>\d+[smhd]|tomorrow)(?:\s+(?P<reason>.*))?", re.DOTALL)
_QUOTES = "\"'`“”‘’"
_duration = duration(at_least=timedelta(seconds=1))

Length: TypeAlias = timedelta | None
"""How long a silence lasts; None = until tomorrow, 9:00 local time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowList:
    """The balances that a pattern means."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The chain behind a balance or a wallet."""

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """A silence that is asked for."""

    pattern: Pattern
    length: Length
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Help:
    """How the command is used; `fault`: and what is wrong with this use."""

    fault: Sentence = NO_SENTENCE


Wanted: TypeAlias = ShowList | Why | Mute | Help


def parse_command(text: str) -> Wanted:
    """Read the text of a command; names may hold spaces, and may be quoted."""
    verb, _, rest = text.partition(" ")
    match verb.lower(), rest.strip():
        case "help" | "?", "":
            return Help()
        case "why", target:
            return Why(target=target.strip(_QUOTES)) if target else Help()
        case "silence", wish:
            found = _SILENCE.fullmatch(wish)
            if found is None:
                return Help(
                    fault=sentence(
                        "Say what to silence and how long: `/balance silence acme/*:market 4h reason`."
                    )
                )
            pattern = Pattern.parse(found["pattern"].strip(_QUOTES))
            if isinstance(pattern, Sentence):
                return Help(fault=sentence("The pattern %(fault)s", fault=pattern))
            try:
                length = read_length(found["length"])
            except UnfitError:
                return Help(
                    fault=sentence("The length %(text)s must be from 1s to 3650d", text=found["length"])
                )
            return Mute(pattern=pattern, length=length, reason=(found["reason"] or "").strip())
        case _:
            return ShowList(pattern=text.strip(_QUOTES))


def read_length(text: str) -> Length:
    """Read `4h` or `tomorrow`. Raises UnfitError."""
    return None if text == _TOMORROW else _duration(text)


def end_of(length: Length, *, now: datetime, zone: tzinfo) -> datetime:
    """Return when a silence of this length ends that begins `now`."""
    if length is not None:
        return now + length
    return datetime.combine(now.astimezone(zone).date() + timedelta(days=1), _MORNING, tzinfo=zone)
