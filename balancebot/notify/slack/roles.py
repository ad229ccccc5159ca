"""Who may act from Slack: members of the bot's workspace to whom `[slack.roles]` gives a role.

Slack's answers about people and user groups are cached for a few minutes.
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
_MAX_CACHED = 1_000

_MAY_NOT_READ: Final = {"missing_scope", "no_permission", "unknown_method"}
"""The app may not read profiles: then only the workspace in the request is known."""
_NOT_VISIBLE: Final = {"user_not_found", "user_not_visible"}
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
class _CachedAnswer(Generic[T]):
    answer: T | ChannelError
    at: datetime
    fresh_for: timedelta


class _AnswerCache(Generic[T]):
    """Slack's answers by id. As long as Slack doesn't answer, the last answer counts."""

    def __init__(self, fetch: Callable[[str], T | ChannelError], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._cached: dict[str, _CachedAnswer[T]] = {}

    def of(self, id_: str) -> T | ChannelError:
        """Return Slack's answer about an id, at most some minutes old."""
        now = self._clock.now()
        known = self._cached.get(id_)
        if known is not None and timedelta() <= now - known.at < known.fresh_for:
            return known.answer
        answer, fresh_for = self._fetch(id_), _FRESH_FOR
        if isinstance(answer, ChannelError):
            log.warning("slack.unknown", extra={"id": id_, "error": str(answer.message)})
            answer, fresh_for = answer if known is None else known.answer, _RETRY_AFTER
        if len(self._cached) >= _MAX_CACHED:
            self._cached.clear()
        self._cached[id_] = _CachedAnswer(answer, now, fresh_for)
        return answer


class Roles:
    """Checks whether a person is a member of the workspace, and which role they have."""

    def __init__(self, roles: SlackRoles, *, workspace: SlackWorkspace, clock: Clock) -> None:
        """`workspace` returns the profiles of people and the members of user groups."""
        self._ids = {Role.ADMIN: roles.admin, Role.FINANCE: roles.finance, Role.VIEWER: roles.viewer}
        self._workspace = workspace
        self._groups = _AnswerCache(workspace.members, clock)
        self._profiles = _AnswerCache(workspace.profile, clock)
        self._team: str | None = None

    def stranger_fault(self, person: SlackUser) -> Sentence | None:
        """Return why a person isn't a full member of the bot's workspace; None if they are."""
        team = self._own_team()
        if isinstance(team, ChannelError):
            return _UNKNOWN
        profile = self._profiles.of(person.id)
        if isinstance(profile, SlackError) and profile.code in _NOT_VISIBLE:
            return _FOREIGN
        if isinstance(profile, SlackError) and profile.code in _MAY_NOT_READ:
            profile = {}
        if isinstance(profile, ChannelError):
            return _UNKNOWN
        if team and _is_foreign(team, person, profile):
            return _FOREIGN
        return _GUEST if any(profile.get(key) for key in _NO_FULL_MEMBER) else None

    def may(self, user: str, needed: Role) -> bool:
        """Return whether `user` has the role `needed`, or one that includes it."""
        roles = [ids for role, ids in self._ids.items() if role.may(needed)]
        if any(ids & {"*", user} for ids in roles):
            return True
        groups = sorted(id_ for ids in roles for id_ in ids if id_.startswith("S"))
        return any(user in self._in(group) for group in groups)

    def _own_team(self) -> str | ChannelError:
        """Return the id of the bot's workspace, fetched once; '' if Slack's answer has none."""
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
    """Return whether a person belongs only to other workspaces. In an organisation, the profile lists all workspaces."""
    of_organisation = profile.get("enterprise_user")
    teams = of_organisation.get("teams") if isinstance(of_organisation, Mapping) else None
    if isinstance(teams, list) and team in teams:
        return False
    return any(named and named != team for named in (person.team, profile.get("team_id")))
