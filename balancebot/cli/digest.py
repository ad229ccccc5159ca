"""`digest`: a scheduled summary sent now, or only looked at."""

from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandContext, CommandError, RefusedError, application, context_of

app = application()

_Name = Annotated[str, typer.Argument(metavar="NAME", help="as in [[digests]]")]


@app.callback()
def digest() -> None:
    """Send a digest now, or look at it."""


@app.command(no_args_is_help=True)
def send(context: typer.Context, name: _Name) -> None:
    """Send a digest now, whatever its schedule."""
    from balancebot.cli.running import running, undelivered

    session = context_of(context)
    _known(session, name)
    with running(session.settings_with_secrets, session.database) as (bot, reporter):
        bot.send_digest.send(name)
        delivered = bot.deliver_outbox.run()
        reporter.delivered(delivered)
    for attempt in delivered.attempts:
        print(f"{attempt.channel} {attempt.destination}: {attempt.outcome}")
    if waiting := undelivered(delivered):
        raise CommandError(*waiting)


@app.command(no_args_is_help=True)
def preview(
    context: typer.Context,
    name: _Name,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="write it as a page of its own")
    ] = None,
) -> None:
    """Show what a digest would say now; nothing is sent."""
    from balancebot.app import build_app

    session = context_of(context)
    _known(session, name)
    bot = build_app(session.settings, session.database)
    facts = bot.send_digest.preview(name)
    if facts is None:
        raise CommandError(f"there is no digest {name}")
    if html is None:
        print(bot.digest_text(facts))
        return
    try:
        html.write_text(bot.digest_page(facts), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{html}: can't be written: {error.strerror}") from None
    print(f"wrote {html}")


def _known(session: CommandContext, name: str) -> None:
    """Refuse the name of a digest that isn't configured, with the nearest that is."""
    from balancebot.domain.spelling import did_you_mean

    names = [digest.name for digest in session.settings.digests]
    if name not in names:
        raise RefusedError(f"{session.settings.path}: there is no digest {name!r}{did_you_mean(name, names)}")
