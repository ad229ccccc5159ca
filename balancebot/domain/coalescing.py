"""What several notifications say when they are told as one: the latest truth, once.

The facts stay those that were decided; only who hears them together is settled here.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from balancebot.domain.alert import Reason
from balancebot.domain.notification import AlertFacts, GroupFacts

_BY_WEIGHT = (Reason.RECOVERED, Reason.OPENED, Reason.WORSENED, Reason.REMINDER)


def weightiest(reasons: Sequence[Reason | None]) -> Reason | None:
    """Return the reason for which news that waited together is told: the end before the start before the rest."""
    return next((reason for reason in _BY_WEIGHT if reason in reasons), None)


def as_one(facts: Sequence[AlertFacts], *, told: bool) -> AlertFacts:
    """Return the news of one alert, oldest first, as one message with the latest figures.

    An opening that worsened is an opening; what worsened twice did so from where it stood first; a recovery ends
    everything. `told` says whether this destination has heard of the alert: if not, a recovery tells of the opening too.
    """
    reason = weightiest([each.reason for each in facts])
    of_that_reason = [each for each in facts if each.reason is reason]
    spoken = of_that_reason[-1 if reason is Reason.RECOVERED else 0]
    return replace(
        facts[-1],
        reason=reason,
        previous=spoken.previous,
        broken=spoken.broken,
        opened_unheard=reason is Reason.RECOVERED and not told,
    )


def with_members(group: GroupFacts, news: Sequence[AlertFacts], at: datetime) -> GroupFacts:
    """Return the group as it stands after `news`, oldest first: each member as it was last, new ones at the end."""
    members = {member.alert_id: member for member in group.members}
    members |= {facts.alert_id: facts for facts in news}
    return replace(group, at=at, members=tuple(members.values()), new=())
