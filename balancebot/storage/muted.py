"""Counts what silences, acknowledgements, groups and flapping keep from being told of the open alerts."""

from sqlalchemy import Connection, String, and_, cast, func, not_, select

from balancebot.domain.alert import FLAPS
from balancebot.domain.muted import Muted
from balancebot.storage.tables import alerts, threads
from balancebot.storage.threads import ALERT


def counted(conn: Connection) -> Muted:
    """Return how much is muted now, and by what."""
    c = alerts.c
    is_open = c.closed_at.is_(None)
    alone = conn.execute(
        select(
            func.count().filter(and_(c.muted_from.is_not(None), not_(c.mute_lifted))).label("silenced"),
            func.count(c.acknowledged_at).label("acknowledged"),
            func.count().filter(c.flaps >= FLAPS).label("flapping"),
            func.coalesce(func.sum(c.relapses), 0).label("relapses"),
        ).where(is_open)
    ).one()
    together = conn.execute(
        select(
            func.count(c.id.distinct()).label("alerts"),
            func.count().label("openings"),
            func.count(threads.c.group_id.distinct()).label("messages"),
        ).where(is_open, threads.c.subject == ALERT + cast(c.id, String), threads.c.group_id.is_not(None))
    ).one()
    return Muted(
        silenced=alone.silenced,
        acknowledged=alone.acknowledged,
        flapping=alone.flapping,
        grouped=together.alerts,
        spared_by_grouping=together.openings - together.messages,
        # each time it fell back a recovery and an opening
        spared_by_flapping=2 * int(alone.relapses),
    )
