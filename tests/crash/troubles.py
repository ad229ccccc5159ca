"""What goes wrong for a moment while the bot runs: answers that lie, clocks that jump, a database that is away."""

import random
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine, text

from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.crash.town import Town
from tests.standins.slack_api import Fault

_FOR_GOOD = "made_up_error"
_SLACK_LIES = (
    Fault(status=500, done=True),
    Fault(status=502),
    Fault(lose_answer=True, done=True),
    Fault(lose_answer=True),
    Fault(rate_limited=1),
    Fault(error="internal_error", done=True),
    Fault(error="fatal_error"),
    Fault(error=_FOR_GOOD),
    Fault(without="ts", done=True),
    Fault(delay=3.0, done=True),
)
_SLACK_METHODS = (
    "chat.postMessage",
    "chat.postMessage",
    "chat.update",
    "conversations.history",
    "chat.delete",
)
_MAIL_REPLIES = ("451 4.3.0 try again", "452 4.2.2 full", "421 4.3.2 closing", "550 5.7.1 no", "999 what")
_JSMS_LIES = (
    FaultKind.SERVER_ERROR,
    FaultKind.RATE_LIMITED,
    FaultKind.OUTAGE,
    FaultKind.REFUSED,
    FaultKind.OUT_OF_FREQ,
)
_LIMITED = (FaultKind.RATE_LIMITED, FaultKind.OUT_OF_FREQ)
_JUMPS = (1, 12, 30, 90, 600)
"""Seconds, either way: what flaps has to stay well for an hour, so none is so long."""
_AWAY = (0.5, 7.0)
"""Seconds for which a database is away: longer, at times, than a writer waits."""


def trouble(town: Town, chance: random.Random) -> str:
    """Let one thing go wrong, and return what it was; it is over, or will be after a few requests."""
    return chance.choice((_slack, _mail, _jsms, _clock, _clock, _database))(town, chance)


def _slack(town: Town, chance: random.Random) -> str:
    method = chance.choice(_SLACK_METHODS)
    # an edit that is refused for good isn't tried again, and the message then shows what was
    lies = chance.choices(
        [lie for lie in _SLACK_LIES if lie.error != _FOR_GOOD or method != "chat.update"],
        k=chance.randint(1, 3),
    )
    town.slack.fail_next(method, *lies)
    return f"{len(lies)} lies of Slack at {method}"


def _mail(town: Town, chance: random.Random) -> str:
    if chance.random() < 0.3:
        town.mail.drop_after_data()
        return "a mail whose answer is lost"
    stage, reply = chance.choice(("MAIL", "RCPT", "DATA")), chance.choice(_MAIL_REPLIES)
    town.mail.reply_next(stage, reply)
    return f"mail server says {reply[:3]} to {stage}"


def _jsms(town: Town, chance: random.Random) -> str:
    kind, wallet = chance.choice(_JSMS_LIES), chance.choice(town.episodes.wallets)
    wallets = chance.choice(("*", str(wallet)))
    # one that is limited again and again is left alone for minutes, which is longer than a round is waited for
    times = chance.randint(1, 3 if wallets != "*" and kind in _LIMITED else 20)
    town.jsms.fail(wallets, SimulatedFault(kind=kind, times=times))
    return f"JSMS {kind} for {wallets}"


def _clock(town: Town, chance: random.Random) -> str:
    seconds = chance.choice(_JUMPS) * chance.choice((1, -1))
    replica = chance.randrange(town.num_replicas)
    town.set_clock(timedelta(seconds=seconds), replica=replica)
    time.sleep(chance.uniform(0.5, 4.0))
    town.set_clock(timedelta(), replica=replica)
    return f"clock of {replica} wrong by {seconds} s for a while"


def _database(town: Town, chance: random.Random) -> str:
    away = chance.uniform(*_AWAY)
    if town.database.is_sqlite:
        other = sqlite3.connect(Path(town.database.place), isolation_level=None)
        other.execute("PRAGMA busy_timeout = 60000")
        other.execute("BEGIN IMMEDIATE")
        time.sleep(away)
        other.execute("ROLLBACK")
        other.close()
        return f"database locked for {away:.1f} s"
    engine = create_engine(town.database.url)
    until = time.monotonic() + away / 2
    while time.monotonic() < until:
        with engine.connect() as conn:
            conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        time.sleep(0.15)
    engine.dispose()
    return f"database ends every session for {away / 2:.1f} s"
