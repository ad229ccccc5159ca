"""Who may act from Slack: members of the bot's workspace, and of them those whom `[slack.roles]` names.

What Slack says of people and user groups is remembered for a few minutes.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from balancebot.config import SlackRoles
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.user import Role
from balancebot.notify.slack.api import SlackError
from balancebot.notify.slack.payloads import SlackUser
from balancebot.notify.slack.responses import SlackWorkspace
from balancebot.ports import ChannelError, Clock

log = logging.getLogger(__name__)

_FRESH_FOR = timedelta(minutes=5)
_RETRY_AFTER = timedelta(seconds=30)
_REMEMBERED = 1_000

_CANT_ASK: Final = {"missing_scope", "no_permission", "unknown_method"}
"""The app may not read profiles: only the workspace that a request names is known then."""
_NOT_SEEN: Final = {"user_not_found", "user_not_visible"}
_NO_FULL_MEMBER: Final = ("is_restricted", "is_ultra_restricted", "is_stranger", "deleted")

_FOREIGN = sentence(
    "Not done: only members of this bot's own workspace may use it, and you belong to another one. Ask one of them."
)
_GUEST = sentence("Not done: guests of the workspace may not use this bot. Ask a full member.")
_UNKNOWN = sentence(
    "Not done: Slack did not say whether you are a member of this workspace. Try again in a minute."
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Said(Generic[T]):
    what: T | ChannelError
    at: datetime
    fresh_for: timedelta


class _Memory(Generic[T]):
    """What Slack said of each id; while it doesn't answer, what it said last."""

    def __init__(self, ask: Callable[[str], T | ChannelError], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._said: dict[str, _Said[T]] = {}

    def of(self, id_: str) -> T | ChannelError:
        """Return what Slack says of an id, asked now or some minutes ago."""
        now = self._clock.now()
        known = self._said.get(id_)
        if known is not None and timedelta() <= now - known.at < known.fresh_for:
            return known.what
        what, fresh_for = self._ask(id_), _FRESH_FOR
        if isinstance(what, ChannelError):
            log.warning("slack.unknown", extra={"id": id_, "error": str(what.message)})
            what, fresh_for = what if known is None else known.what, _RETRY_AFTER
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        self._said[id_] = _Said(what, now, fresh_for)
        return what


class Roles:
    """Answers who is a member, and what one may."""

    def __init__(self, roles: SlackRoles, *, workspace: SlackWorkspace, clock: Clock) -> None:
        """`workspace` is asked who people are, and who is in a user group."""
        self._ids = {Role.ADMIN: roles.admin, Role.FINANCE: roles.finance, Role.VIEWER: roles.viewer}
        self._workspace = workspace
        self._groups = _Memory(workspace.members, clock)
        self._profiles = _Memory(workspace.profile, clock)
        self._team: str | None = None

    def stranger_fault(self, person: SlackUser) -> Sentence | None:
        """Return why a person is no full member of the bot's workspace; None for one who is."""
        team = self._own_team()
        if isinstance(team, ChannelError):
            return _UNKNOWN
        profile = self._profiles.of(person.id)
        if isinstance(profile, SlackError) and profile.code in _NOT_SEEN:
            return _FOREIGN
        if isinstance(profile, SlackError) and profile.code in _CANT_ASK:
            profile = {}
        if isinstance(profile, ChannelError):
            return _UNKNOWN
        if team and _is_foreign(team, person, profile):
            return _FOREIGN
        return _GUEST if any(profile.get(key) for key in _NO_FULL_MEMBER) else None

    def may(self, user: str, needed: Role) -> bool:
        """Tell whether `user` has the role `needed`, or one that includes it."""
        roles = [ids for role, ids in self._ids.items() if role.may(needed)]
        if any(ids & {"*", user} for ids in roles):
            return True
        groups = sorted(id_ for ids in roles for id_ in ids if id_.startswith("S"))
        return any(user in self._in(group) for group in groups)

    def _own_team(self) -> str | ChannelError:
        """Return the id of the bot's workspace, asked for once; '' where Slack names none."""
        if self._team is None:
            team = self._workspace.team()
            if isinstance(team, ChannelError):
                log.warning("slack.unknown", extra={"id": "team", "error": str(team.message)})
                return team
            self._team = team
        return self._team

    def _in(self, group: str) -> frozenset[str]:
        members = self._groups.of(group)
        return frozenset() if isinstance(members, ChannelError) else members


def _is_foreign(team: str, person: SlackUser, profile: Mapping[str, Any]) -> bool:
    """Tell whether a person belongs to other workspaces only; of an organisation's people the profile names them all."""
    of_organisation = profile.get("enterprise_user")
    teams = of_organisation.get("teams") if isinstance(of_organisation, Mapping) else None
    if isinstance(teams, list) and team in teams:
        return False
    return any(named and named != team for named in (person.team, profile.get("team_id")))
