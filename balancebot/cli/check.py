"""`check`: tries everything that a running bot depends on, prints a line for each, and exits with 1 if one fails."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from balancebot.app import App, build_app, cycle_budget
from balancebot.cli.context import RefusedError, command_group, context_of
from balancebot.cli.output import of_severity, plural, show
from balancebot.config import Settings, remarks
from balancebot.domain.balance import BalanceKey, Category, Snapshot
from balancebot.domain.holidays import HolidayCalendar
from balancebot.domain.local_time import local_time
from balancebot.domain.verdict import Severity
from balancebot.redact import MIN_LENGTH, secrets_in
from balancebot.store import channel_failures, set_aside, silences
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

commands = command_group()

_HOLIDAYS_AHEAD = timedelta(days=40)
"""So far ahead holidays should be known: forecasts look at single days for 35."""


@dataclass(frozen=True, slots=True)
class _Line:
    """What was tried, and the result. A note is no failure."""

    about: str
    words: str
    ok: bool | None = True
    """None = a note."""

    def __str__(self) -> str:
        match self.ok:
            case True:
                mark = of_severity("ok  ", Severity.OK)
            case None:
                mark = of_severity("note", Severity.WARNING)
            case False:
                mark = of_severity("FAIL", Severity.CRITICAL)
        return f"{mark}  {self.about}: {self.words}"


@commands.command(no_args_is_help=False)
def check(
    context: typer.Context,
    offline: Annotated[
        bool, typer.Option("--offline", help="check the configuration and the database only")
    ] = False,
) -> None:
    """Try the configuration, the database, every credential, Slack and the mail server."""
    settings = context_of(context).settings_with_secrets
    all_ok = True
    for line in _lines(settings, offline=offline):
        show(line)
        all_ok = all_ok and line.ok is not False
    if not all_ok:
        raise typer.Exit(1)


def _lines(settings: Settings, *, offline: bool) -> Iterator[_Line]:
    yield _Line("configuration", f"{settings.path}, {plural(len(settings.wallets), 'wallet')}")
    for remark in remarks(settings):
        yield _Line(remark.key or "configuration", remark.message, ok=None)
    for file in _exposed(settings):
        yield _Line(
            "configuration",
            f"others on this machine can read {file} and the secrets in it: chmod 600 {file.name}",
            ok=None,
        )
    app = build_app(settings, Database(settings.database.url.reveal()))
    if isinstance(calendar := app.estimator.zone, HolidayCalendar):
        yield _holidays(calendar, app.clock.now())
    try:
        yield from _database(app)
        if not offline:
            yield from _credentials(app)
            yield from _channels(app)
    finally:
        app.close()


def _holidays(calendar: HolidayCalendar, now: datetime) -> _Line:
    """Say how far the calendar reaches; each year's is published in November of the one before."""
    year = calendar.known_until.year
    if local_time(now + _HOLIDAYS_AHEAD, ZoneInfo(calendar.zone)).date() <= calendar.known_until:
        return _Line("holidays", f"known up to {year}")
    return _Line(
        "holidays",
        f"known up to {year} only; those of {year + 1} count as ordinary days until there is a release with them: "
        "pip install --upgrade chinesecalendar",
        ok=None,
    )


def _exposed(settings: Settings) -> Iterator[Path]:
    """Yield the files that contain secrets and that other users can read."""
    files = {settings.path, *(account.apps_file for account in settings.accounts if account.apps_file)}
    for file in sorted(files):
        try:
            if not file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
                continue
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        if any(len(secret) >= MIN_LENGTH and secret in text for secret in secrets_in(settings)):
            yield file


def _database(app: App) -> Iterator[_Line]:
    """Upgrade the database, and yield what it contains. If that fails, the rest can still be tried."""
    try:
        app.database.upgrade()
        known = app.database.apart_from_damage(lambda: list(_from_database(app)))
    except DatabaseError as error:
        yield _Line("database", str(error).removeprefix("database "), ok=False)
        return
    yield _Line("database", app.database.place)
    yield from known


def _from_database(app: App) -> Iterator[_Line]:
    """Yield contradictions between limits, silences that mute much, and lasting failures of channels.

    A lasting failure counts as a failure only if no later check shows whether it still exists: a mail server isn't
    asked for recipients, a webhook isn't called.
    """
    with app.database.read() as conn:
        book = app.thresholds.book(conn)
        damaged = set_aside.remarks(conn)
        failures = channel_failures.current(conn)
        broad_silences = silences.active(conn, app.clock.now())
    for remark in damaged:
        yield _Line("database", remark, ok=False)
    keys = (BalanceKey(wallet, category) for wallet in app.settings.wallets for category in Category)
    for inversion in book.inversions(keys):
        yield _Line("thresholds", str(inversion), ok=None)
    for silence in broad_silences:
        if silence.announced_at is not None:
            text = f"{silence.pattern.text} until {silence.until:%Y-%m-%d %H:%M} UTC by {silence.created_by}"
            yield _Line(f"silence {silence.id}", f"{text}, which mutes much", ok=None)
    for failure in failures:
        yield _Line(
            f"{failure.channel} {failure.destination}",
            f"{failure.message} (since {failure.since:%Y-%m-%d %H:%M} UTC)",
            ok=None if _is_tried(app, failure.channel) else False,
        )


def _credentials(app: App) -> Iterator[_Line]:
    """Fetch every wallet once; store nothing."""
    try:
        source = app.source
    except ValueError as error:
        raise RefusedError(f"{app.settings.path}: poll: {error}") from None
    for result in source.fetch(app.settings.wallets, budget=cycle_budget(app.settings)):
        if isinstance(result, Snapshot):
            yield _Line(result.wallet, "read")
        else:
            yield _Line(result.wallet, str(result.message).removeprefix(f"{result.wallet}: "), ok=False)


def _is_tried(app: App, channel: str) -> bool:
    return channel in app.channels and app.channels[channel].capabilities.can_check


def _channels(app: App) -> Iterator[_Line]:
    for channel, finding in app.check_channels():
        yield _Line(channel, finding.words, ok=finding.ok)
