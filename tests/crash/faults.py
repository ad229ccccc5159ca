"""Faults that last for a moment: wrong answers, clocks that jump, a database that is unavailable."""

import random
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine, text

from balancebot.jsms.simulator import FaultKind, SimulatedFault
from tests.crash.deployment import Deployment
from tests.standins.slack_api import Fault

_PERMANENT = "made_up_error"
_SLACK_FAULTS = (
    Fault(status=500, done=True),
    Fault(status=502),
    Fault(lose_answer=True, done=True),
    Fault(lose_answer=True),
    Fault(rate_limited=1),
    Fault(error="internal_error", done=True),
    Fault(error="fatal_error"),
    Fault(error=_PERMANENT),
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
_JSMS_FAULTS = (
    FaultKind.SERVER_ERROR,
    FaultKind.RATE_LIMITED,
    FaultKind.OUTAGE,
    FaultKind.REFUSED,
    FaultKind.OUT_OF_FREQ,
)
_LIMITED = (FaultKind.RATE_LIMITED, FaultKind.OUT_OF_FREQ)
_JUMPS = (1, 12, 30, 90, 600)
"""Seconds, in both directions; less than the hour for which a flapping balance must be OK."""
_UNAVAILABLE = (0.5, 7.0)
"""Seconds for which a database is unavailable: at times longer than a writer waits."""


def inject_fault(deployment: Deployment, rng: random.Random) -> str:
    """Inject one fault and return it; it has ended, or ends after a few requests."""
    return rng.choice((_slack, _mail, _jsms, _clock, _clock, _database))(deployment, rng)


def _slack(deployment: Deployment, rng: random.Random) -> str:
    method = rng.choice(_SLACK_METHODS)
    # an edit that is refused for good isn't tried again, so the message would stay outdated
    faults = rng.choices(
        [fault for fault in _SLACK_FAULTS if fault.error != _PERMANENT or method != "chat.update"],
        k=rng.randint(1, 3),
    )
    deployment.slack.fail_next(method, *faults)
    return f"{len(faults)} wrong answers of Slack to {method}"


def _mail(deployment: Deployment, rng: random.Random) -> str:
    if rng.random() < 0.3:
        deployment.mail.drop_after_data()
        return "a mail whose answer is lost"
    stage, reply = rng.choice(("MAIL", "RCPT", "DATA")), rng.choice(_MAIL_REPLIES)
    deployment.mail.reply_next(stage, reply)
    return f"mail server says {reply[:3]} to {stage}"


def _jsms(deployment: Deployment, rng: random.Random) -> str:
    kind, wallet = rng.choice(_JSMS_FAULTS), rng.choice(deployment.episodes.wallets)
    wallets = rng.choice(("*", str(wallet)))
    # a wallet that is limited again and again isn't read for minutes, which is longer than a round waits
    times = rng.randint(1, 3 if wallets != "*" and kind in _LIMITED else 20)
    deployment.jsms.fail(wallets, SimulatedFault(kind=kind, times=times))
    return f"JSMS {kind} for {wallets}"


def _clock(deployment: Deployment, rng: random.Random) -> str:
    seconds = rng.choice(_JUMPS) * rng.choice((1, -1))
    replica = rng.randrange(deployment.num_replicas)
    deployment.set_clock(timedelta(seconds=seconds), replica=replica)
    time.sleep(rng.uniform(0.5, 4.0))
    deployment.set_clock(timedelta(), replica=replica)
    return f"clock of {replica} wrong by {seconds} s for a while"


def _database(deployment: Deployment, rng: random.Random) -> str:
    unavailable_for = rng.uniform(*_UNAVAILABLE)
    if deployment.database.is_sqlite:
        other = sqlite3.connect(Path(deployment.database.place), isolation_level=None)
        other.execute("PRAGMA busy_timeout = 60000")
        other.execute("BEGIN IMMEDIATE")
        time.sleep(unavailable_for)
        other.execute("ROLLBACK")
        other.close()
        return f"database locked for {unavailable_for:.1f} s"
    engine = create_engine(deployment.database.url)
    until = time.monotonic() + unavailable_for / 2
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
    return f"database ends every session for {unavailable_for / 2:.1f} s"
