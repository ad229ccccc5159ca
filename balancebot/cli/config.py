"""`init` writes a commented configuration, filled in with the user's answers; `config` lists all keys."""

import os
import secrets
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from balancebot.cli.context import CommandError, RefusedError, command_group, context_of
from balancebot.config.declare import ChannelKind
from balancebot.config.reference import reference_markdown, reference_text, template
from balancebot.config.settings import CHANNELS
from balancebot.domain.sentence import did_you_mean

commands = command_group()
init_commands = command_group()


_KINDS = tuple(channel.kind for channel in CHANNELS if isinstance(channel, ChannelKind))
_CHINESE_KINDS = frozenset({"feishu", "dingtalk", "wecom"})
_NEEDED = {
    "slack.channel": "slack.bot_token",
    "channels.url": "channels.kind",
    "channels.secret": "channels.kind",
}
"""A key that is asked for only if another has an answer."""

_QUESTIONS = (
    ("accounts.name", "A name for the Jiguang account", False),
    ("accounts.dev_key", "Its dev key (empty: put it in later)", False),
    ("accounts.dev_secret", "Its dev secret (empty: put it in later)", True),
    ("slack.bot_token", "Slack bot token (empty: no Slack yet)", True),
    ("slack.channel", "Slack channel for alerts, such as #ops-alerts", False),
    ("channels.kind", f"Another channel: {', '.join(_KINDS)} (empty: none)", False),
    ("channels.url", "Its address", True),
    ("channels.secret", "Its secret (empty: none)", True),
    ("web.listen", "Address of the web pages, such as 127.0.0.1:8080 (empty: none)", False),
)
"""What is asked on a terminal: the key, the question, and whether the answer is hidden."""


class ReferenceFormat(StrEnum):
    """The format of the reference."""

    TEXT = "text"
    MD = "md"


@commands.callback()
def config() -> None:
    """List the keys of the configuration."""


@commands.command()
def reference(
    form: Annotated[
        ReferenceFormat, typer.Option("--format", help="for a terminal, or Markdown")
    ] = ReferenceFormat.TEXT,
) -> None:
    """List every key with its type, default and meaning."""
    match form:
        case ReferenceFormat.TEXT:
            print(reference_text(), end="")
        case ReferenceFormat.MD:
            print(reference_markdown(), end="")


@init_commands.command()
def init(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="where to; default: where the configuration is looked for")
    ] = None,
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="a name for the account")] = "",
    dev_key: Annotated[str, typer.Option("--dev-key", metavar="KEY", help="or env:NAME, file:PATH")] = "",
    dev_secret: Annotated[str, typer.Option("--dev-secret", metavar="SECRET", help="likewise")] = "",
    slack_token: Annotated[str, typer.Option("--slack-token", metavar="TOKEN", help="likewise")] = "",
    slack_channel: Annotated[str, typer.Option("--slack-channel", metavar="CHANNEL")] = "",
    channel: Annotated[str, typer.Option("--channel", metavar="KIND", help=", ".join(_KINDS))] = "",
    channel_url: Annotated[
        str, typer.Option("--channel-url", metavar="URL", help="or env:NAME, file:PATH")
    ] = "",
    channel_secret: Annotated[str, typer.Option("--channel-secret", metavar="SECRET", help="likewise")] = "",
    pages: Annotated[str, typer.Option("--pages", metavar="ADDRESS", help="such as 127.0.0.1:8080")] = "",
) -> None:
    """Write a commented configuration; never overwrites. Asks on a terminal, unless options are given."""

    path = file or context_of(context).config_path
    if path.exists():
        raise CommandError(f"{path}: is there already, and was left as it is")
    filled: dict[str, str | bool] = {
        "accounts.name": account,
        "accounts.dev_key": dev_key,
        "accounts.dev_secret": dev_secret,
        "slack.bot_token": slack_token,
        "slack.channel": slack_channel,
        "channels.kind": channel,
        "channels.url": channel_url,
        "channels.secret": channel_secret,
        "web.listen": pages,
    }
    if not any(filled.values()) and sys.stdin.isatty():
        filled |= _answers()
    if filled["slack.bot_token"] and not filled["slack.channel"]:
        raise RefusedError("--slack-channel: a Slack bot token needs a channel beside it")
    filled |= _channel(filled)
    if filled["web.listen"]:
        filled["web.secret_key"] = secrets.token_hex(32)
    try:
        # Only its owner may read the file: people write their secrets into it.
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: can't be written: {error.strerror}") from None
    with open(written, "w", encoding="utf-8") as out:
        out.write(template(filled))
    print(f"wrote {path}")
    has_keys = filled["accounts.dev_key"] and filled["accounts.dev_secret"]
    print(
        f"{'Try' if has_keys else 'Put in your account and its key pairs, then try'} it with: balancebot check"
    )


def _channel(filled: Mapping[str, str | bool]) -> dict[str, str | bool]:
    """Return the further keys for the kind of channel; refuse a channel that couldn't work."""
    kind = str(filled["channels.kind"])
    if not kind:
        if filled["channels.url"] or filled["channels.secret"]:
            raise RefusedError(f"--channel: is missing; it is one of {', '.join(_KINDS)}")
        return {}
    if kind not in _KINDS:
        raise RefusedError(
            f"--channel: there is no {kind!r}{did_you_mean(kind, _KINDS)}; it is one of {', '.join(_KINDS)}"
        )
    needed = "channels.secret" if kind == "pagerduty" else "channels.url"
    if not filled[needed]:
        raise RefusedError(f"--{needed.replace('s.', '-')}: {kind} needs it")
    language = {"channels.language": "zh-CN"} if kind in _CHINESE_KINDS else {}
    return {"channels.name": f"ops-{kind}", "channels.default": True, **language}


def _answers() -> dict[str, str]:
    """Ask the user. A key without an answer stays as the template has it."""
    answers: dict[str, str] = {}
    for key, question, is_hidden in _QUESTIONS:
        if key in _NEEDED and not answers[_NEEDED[key]]:
            answers[key] = ""
            continue
        default = {"accounts.name": "acme", "slack.channel": "#ops-alerts"}.get(key, "")
        answers[key] = typer.prompt(
            question, default=default, show_default=bool(default), hide_input=is_hidden, err=True
        ).strip()
    return answers
