"""Who changed what, from what, to what, when, and via what. An entry is written in the transaction of the change.

Readings that turned out to be wrong stand here as well: what was booked of them was changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias


class Via(StrEnum):
    """By which interface a change came."""

    CLI = "cli"
    PAGE = "page"
    SHEET = "sheet"
    """A spreadsheet, uploaded on the page or imported by the command."""
    SLACK = "slack"
    API = "api"
    POLL = "poll"
    """A poll cycle: nobody did it."""


class Act(StrEnum):
    """What was done."""

    SET_THRESHOLD = "threshold.set"
    REMOVE_THRESHOLD = "threshold.remove"
    ACKNOWLEDGE = "alert.acknowledge"
    SILENCE = "silence.add"
    END_SILENCE = "silence.end"
    RESEND = "delivery.resend"
    SEND_TEST = "delivery.test"
    ADD_PLAN = "plan.add"
    REMOVE_PLAN = "plan.remove"
    ADD_ORDER = "order.add"
    CANCEL_ORDER = "order.cancel"
    MATCH_ORDER = "order.match"
    CORRECT_READING = "reading.correct"
    ADD_USER = "user.add"
    SET_ROLE = "user.role"
    SET_PASSWORD = "user.password"  # noqa: S105 -- the name of an act
    REMOVE_USER = "user.remove"
    END_SESSIONS = "user.sessions"
    ADD_TOKEN = "token.add"  # noqa: S105 -- the name of an act
    REMOVE_TOKEN = "token.remove"  # noqa: S105 -- the name of an act


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who changes something, and via which interface."""

    name: str
    via: Via
    request: str = ""
    """Names the request where the same one may come again: it is done once. '' = it comes once."""


Picture: TypeAlias = Mapping[str, str | int | float | bool | None]
"""What something was or became, by the names that people see; kept as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change."""

    id: str = ""
    """'' until it is kept."""
    at: datetime
    actor: str
    via: Via
    act: Act
    subject: str
    """What was changed: a scope, a pattern, an alert's id, a user's name."""
    before: Picture | None = None
    """None: it wasn't there."""
    after: Picture | None = None
    """None: it isn't there any more."""
    request: str = ""
    """What asked for it, where that may come again; see `Actor`."""
