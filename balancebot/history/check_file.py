"""Check the structure of a SQLite file once a day: pages that a disk has zeroed or swapped may not be read for weeks.

By then the older, sound backups may be gone. PostgreSQL has checksums of its own.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from balancebot.domain.message import NoticeMessage
from balancebot.domain.routing import Destination
from balancebot.domain.sentence import clean_text, sentence, verbatim
from balancebot.store import installation, outbox
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError, DatabaseErrorKind

log = logging.getLogger(__name__)


def check_file(database: Database, *, destinations: Sequence[Destination], now: datetime) -> bool:
    """Check the file, and store and log whether it is damaged; return whether a message about that was enqueued.

    The message is sent once, to `destinations`, until a check finds the file sound again.
    """
    faults = _faults(database)
    with database.read() as conn:
        known = installation.find(conn, installation.FILE_DAMAGE)
    if not faults:
        if known is not None:
            with database.write() as conn:
                installation.forget(conn, installation.FILE_DAMAGE)
            log.info("database.repaired")
        return False
    damage = clean_text(f"{database.place}: {'; '.join(faults)}")
    log.error("database.damaged", extra={"damage": damage})
    if known is not None:
        return False
    with database.write() as conn:
        installation.note(conn, installation.FILE_DAMAGE, damage, now=now)
        outbox.enqueue_plain(conn, message=_notice(damage, now), destinations=destinations, now=now)
    return True


def _faults(database: Database) -> tuple[str, ...]:
    try:
        return database.quick_check()
    except DatabaseError as error:
        if error.kind is DatabaseErrorKind.CORRUPT:
            return (error.message.removeprefix(f"database {database.place}: "),)
        raise


def _notice(damage: str, now: datetime) -> NoticeMessage:
    return NoticeMessage(
        at=now,
        title=sentence("The database's file is damaged"),
        lines=(
            verbatim(damage),
            sentence(
                "What can still be read is watched as before, but readings, limits or alerts may be lost. Stop balancebot, "
                'and put the latest sound backup back with "balancebot db restore FILE". If it happens again, replace the '
                "disk."
            ),
        ),
        is_trouble=True,
    )
