"""Who may do what from Slack: by user id, or as a member of a user group, as `[slack.roles]` says."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from balancebot.config import SlackRoles
from balancebot.domain.user import Role
from balancebot.ports import ChannelError, Clock

log = logging.getLogger(__name__)

_FRESH_FOR = timedelta(minutes=5)
_RETRY_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Group:
    members: frozenset[str]
    ask_again_at: datetime


class Roles:
    """Answers what a user may. Members of groups are asked of Slack and remembered for a few minutes."""

    def __init__(
        self,
        roles: SlackRoles,
        *,
        members: Callable[[str], frozenset[str] | ChannelError],
        clock: Clock,
    ) -> None:
        """`members` asks Slack who is in a user group."""
        self._ids = {Role.ADMIN: roles.admin, Role.FINANCE: roles.finance, Role.VIEWER: roles.viewer}
        self._members = members
        self._clock = clock
        self._groups: dict[str, _Group] = {}
        self._asking = threading.Lock()

    def may(self, user: str, needed: Role) -> bool:
        """Tell whether `user` has the role `needed`, or one that includes it."""
        roles = [ids for role, ids in self._ids.items() if role.may(needed)]
        if any(ids & {"*", user} for ids in roles):
            return True
        groups = sorted(id_ for ids in roles for id_ in ids if id_.startswith("S"))
        return any(user in self._in(group) for group in groups)

    def _in(self, group: str) -> frozenset[str]:
        now = self._clock.now()
        with self._asking:
            known = self._groups.get(group)
            if known is None or now >= known.ask_again_at:
                known = self._groups[group] = self._asked(group, known, now)
            return known.members

    def _asked(self, group: str, known: _Group | None, now: datetime) -> _Group:
        """Ask Slack; while it doesn't answer, those who were members stay so."""
        members = self._members(group)
        if not isinstance(members, ChannelError):
            return _Group(members, now + _FRESH_FOR)
        log.warning("slack.group", extra={"group": group, "error": str(members.message)})
        return _Group(known.members if known else frozenset(), now + _RETRY_AFTER)
