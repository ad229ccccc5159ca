"""`status`: shows every balance from the database alone; it makes no request and reads no secret."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from balancebot.answers import balances_answer
from balancebot.cli.context import CommandError, RefusedError, command_group, context_of, read_pattern
from balancebot.cli.output import Column, bold, faint, of_severity, show, show_error, show_json, text_table
from balancebot.clock import SystemClock
from balancebot.config import Settings, database_url
from balancebot.domain.message import MutedCounts
from balancebot.domain.sentence import did_you_mean
from balancebot.domain.threshold import ThresholdBook
from balancebot.domain.verdict import Severity
from balancebot.estimates.context import ContextReader
from balancebot.estimates.estimator import Estimator
from balancebot.estimates.holidays import zone_of
from balancebot.i18n import Wording
from balancebot.overview.balances import BalanceView, is_too_young, overview
from balancebot.store import alerts, channel_failures, configurations, set_aside, silences, thresholds
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

commands = command_group()

_COLUMNS = (
    Column("balance"),
    Column("left", is_number=True),
    Column("next 24 h", is_number=True),
    Column("runway"),
    Column("severity"),
    Column("last reading"),
    Column("next"),
    Column("why then"),
)


_WATCHING = """\
Watching: runways appear after about an hour; until then only limits by count are judged.
Have a month of balances? Import them, and runways are there at once: balancebot history import past.csv"""


@commands.command(no_args_is_help=False)
def status(
    context: typer.Context,
    pattern: Annotated[
        str | None, typer.Argument(metavar="PATTERN", help="such as 'acme/*:market'; default: everything")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Show every balance with its burn, runway and severity."""

    command = context_of(context)
    now = SystemClock().now()
    try:
        command.settings  # noqa: B018 -- loads them
    except RefusedError as refused:
        raise RefusedError(str(refused), *_running_daemons(command.config_path, now)) from None
    database = command.database
    views, book = database.apart_from_damage(lambda: read_balances(database, command.settings, now))
    if pattern is not None:
        views = _matching(views, pattern)
    with database.read() as conn:
        damaged = set_aside.remarks(conn)
    if as_json:
        with database.read() as conn:
            show_json(balances_answer(conn, views, figures=figures_of(command.settings), as_of=now))
    else:
        words = Wording(zone=command.settings.timezone)
        with database.read() as conn:
            quiet = alerts.muted_counts(conn)
            broad = [
                f"silenced until {words.local(silence.until):%Y-%m-%d %H:%M}: {silence.pattern.text}"
                f" (silence {silence.id}, by {silence.created_by})"
                for silence in silences.active(conn, now)
                if silence.announced_at is not None
            ]
            refusals = [
                f"{failure.channel} {failure.destination}: {words.translate(failure.message)}"
                f" (for {_ago(now - failure.since, words)})"
                for failure in channel_failures.current(conn)
            ]
            configured = [
                line
                for configuration in configurations.running(conn, now=now)
                for line in configuration.remarks()
            ]
        muted_line = [_muted(quiet, words)] if quiet.any else []
        inversions = map(str, book.inversions(view.key for view in views))
        is_young = is_too_young(database, views, now=now)
        show(
            for_people(
                views,
                [*configured, *inversions, *refusals, *broad, *muted_line],
                words,
                now,
                is_young=is_young,
            )
        )
    if damaged:
        raise CommandError(*damaged)


def _running_daemons(config: Path, now: datetime) -> Iterator[str]:
    """Yield the daemons that still run with the configuration from before the fault."""
    url = database_url(config, environ=os.environ)
    if url is None:
        return
    try:
        with Database(url.reveal()).read() as conn:
            for running in configurations.running(conn, now=now):
                yield f"balancebot on {running.host} (pid {running.pid}) keeps the configuration that it has"
    except DatabaseError:  # there is no database yet, or an old one: no daemon uses it
        return


def read_balances(
    database: Database, settings: Settings, now: datetime
) -> tuple[list[BalanceView], ThresholdBook]:
    """Return every configured balance, and the limits that judge it."""
    with database.read() as conn:
        book = ThresholdBook(thresholds.load(conn))
        views = overview(
            conn, book=book, stale_after=settings.poll.stale_after, now=now, names=settings.wallets
        )
    return views, book


def _matching(views: list[BalanceView], pattern: str) -> list[BalanceView]:
    """Return the balances that `pattern` matches. A wildcard may match nothing; an unknown wallet is refused."""
    wanted = read_pattern(pattern)
    found = [view for view in views if wanted.matches(*view.key)]
    if not found:
        wallet = pattern.partition(":")[0]
        unmet = f"PATTERN {pattern} matches no configured balance"
        if "*" not in wallet:
            raise RefusedError(unmet + str(did_you_mean(wallet, {view.key.wallet for view in views})))
        show_error(unmet)
    return found


def figures_of(settings: Settings) -> ContextReader:
    """Return an estimator for a command that needs nothing else of the app."""
    return ContextReader(
        estimator=Estimator(zone=zone_of(settings), confidence=settings.alerts.runway_confidence),
        thresholds=thresholds.ThresholdCache(),
        package_sizes=settings.orders.package_sizes,
    )


def for_people(
    views: Sequence[BalanceView],
    further: Sequence[str],
    words: Wording,
    now: datetime,
    *,
    is_young: bool = False,
) -> str:
    """Return a table of balances, and below it failed wallets, traffic that stopped, and the `further` lines.

    `is_young`: no runway can be known yet, so no balance is called ok.
    """
    rows = [_row(view, words, now, is_young=is_young) for view in views]
    # If all wallets are read at regular intervals, the reason says nothing.
    shown = len(_COLUMNS) if any(row[-1] for row in rows) else len(_COLUMNS) - 1
    parts = [
        text_table(_COLUMNS[:shown], (row[:shown] for row in rows)),
        _WATCHING if is_young else "",
        "\n".join(_failures(views, words, now)),
        "\n".join(
            f"{view.key} has stopped sending, in hours in which it always sends"
            for view in views
            if view.stopped
        ),
        "\n".join(
            words.gettext(
                "%(balance)s: not counted in its usage: %(burst)s", balance=str(view.key), burst=burst
            )
            for view in views
            if (
                burst := words.not_counted(
                    view.estimate.not_counted, view.estimate.not_counted_at, is_spike=view.is_spiking
                )
            )
        ),
        "\n".join(further),
        faint(f"as of {words.local(now):%Y-%m-%d %H:%M:%S} {words.zone_name}; ")
        + _count(views, is_young=is_young),
    ]
    return "\n\n".join(part for part in parts if part)


def _muted(quiet: MutedCounts, words: Wording) -> str:
    """Return the numbers of open alerts for which messages are held back or combined."""
    parts = (
        (quiet.silenced, f"{quiet.silenced} silenced"),
        (quiet.acknowledged, f"{quiet.acknowledged} acknowledged"),
        (quiet.waiting, f"{quiet.waiting} waiting for quiet hours to end"),
        (
            quiet.grouped,
            f"{quiet.grouped} grouped (spared {words.messages(quiet.spared_by_grouping)})",
        ),
        (quiet.flapping, f"{quiet.flapping} flapping (spared {words.messages(quiet.spared_by_flapping)})"),
    )
    return "muted alerts: " + ", ".join(text for num, text in parts if num)


def _row(view: BalanceView, words: Wording, now: datetime, *, is_young: bool) -> Sequence[str]:
    balance = str(view.key)
    if view.severity > Severity.OK:
        balance = bold(balance)
    severity = of_severity(view.severity.word, view.severity)
    if is_young and view.severity is Severity.OK:
        severity = faint("watching")
    if not isinstance(view.reading, int):
        return (balance, words.cell(view.reading), "", "", severity, *_times(view, words, now))
    return (
        balance,
        words.cell(view.reading),
        words.burn(view.estimate.burn_per_day).removesuffix(" a day"),
        words.runway(view.estimate.runway),
        f"{severity} (stale)" if view.is_stale else severity,
        *_times(view, words, now),
    )


def _times(view: BalanceView, words: Wording, now: datetime) -> tuple[str, str, str]:
    last = "" if view.observed_at is None else f"{_ago(now - view.observed_at, words)} ago"
    if view.next_reading is None:
        return last, "", ""
    wait = view.next_reading.at - now
    return (
        last,
        "due" if wait <= timedelta() else f"in {_ago(wait, words)}",
        words.read_reason(view.next_reading),
    )


def _ago(time: timedelta, words: Wording) -> str:
    return words.elapsed(time) if time >= timedelta(minutes=1) else f"{max(0, round(time.total_seconds()))} s"


def _failures(views: Sequence[BalanceView], words: Wording, now: datetime) -> Iterator[str]:
    """Yield a line for each wallet whose latest reading failed."""
    for view in {view.key.wallet: view for view in views if view.error}.values():
        last = (
            "never read"
            if view.observed_at is None
            else f"last read {_ago(now - view.observed_at, words)} ago"
        )
        yield f"{view.error} ({last})"


def _count(views: Sequence[BalanceView], *, is_young: bool) -> str:
    """Return the number of balances per severity, the worst first."""
    severities = [view.severity for view in views]
    words = {Severity.OK: "watching"} if is_young else {}
    return ", ".join(
        of_severity(f"{severities.count(severity)} {words.get(severity, severity.word)}", severity)
        for severity in sorted(Severity, reverse=True)
        if severity in severities
    )
