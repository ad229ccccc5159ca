"""Audit entries: who changed what, from what, to what, when and how. Each is written in the transaction of the change.

Corrections of wrong readings are audit entries as well, because they change what was booked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias


class Via(StrEnum):
    """The interface through which a change was made."""

    CLI = "cli"
    PAGE = "page"
    SHEET = "sheet"
    """A spreadsheet, uploaded on the page or imported by the command."""
    SLACK = "slack"
    API = "api"
    POLL = "poll"
    """A poll cycle: no person did it."""


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
    """The id of a request that may arrive more than once, so that it is applied once. '' = it can't be repeated."""


def slack_id_of(name: str) -> tuple[str, ...]:
    """Return the id in the name of an actor in Slack, `ops (U024BE7LH)`, to mention that person; () for anybody else."""
    found = _SLACK_ID.search(name)
    return () if found is None else (found[1],)


_SLACK_ID = re.compile(r"\(([UW][A-Z0-9]{5,})\)$")


Picture: TypeAlias = Mapping[str, str | int | float | bool | None]
"""A value before or after a change, by the names that people see; stored as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change."""

    id: str = ""
    """'' until it is stored."""
    at: datetime
    actor: str
    via: Via
    act: Act
    subject: str
    """What was changed: a scope, a pattern, an alert's id, a user's name."""
    before: Picture | None = None
    """None: it didn't exist."""
    after: Picture | None = None
    """None: it was deleted."""
    request: str = ""
    """The id of the request that caused it, if that may be repeated; see `Actor`."""
