"""How balances are read and kept: one function per table of the configuration, with its keys and defaults.

What a key is when it isn't given, and how keys depend on each other, is said here and nowhere else.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from balancebot.config import kinds
from balancebot.config.kinds import duration, number, one_of, text, whole
from balancebot.config.secrets import NO_SECRET, Secrets
from balancebot.config.shapes import (
    Alerts,
    Database,
    Heartbeat,
    Log,
    LogFormat,
    LogLevel,
    Poll,
    Retention,
    Web,
)
from balancebot.config.shared_keys import existing_file, proxy
from balancebot.config.table import Table
from balancebot.domain.balance import Category
from balancebot.secret import Secret

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


def database(table: Table, secrets: Secrets) -> Database:
    """`[database]`: resolved for every command, the path of a SQLite file made absolute."""

    def parse(value: object) -> Secret:
        return Secret(kinds.database_url(secrets.look_up(value), secrets.base))

    return Database(url=table.take("url", parse, None) or parse("sqlite:///balancebot.db"))


def poll(table: Table, secrets: Secrets) -> Poll:
    """`[poll]`: what isn't given follows `every`."""
    usual = Poll()
    every = table.take("every", duration(at_least=_SECOND), usual.every)
    fastest = table.take("fastest", duration(at_least=_SECOND), every)
    stale_after = table.take("stale_after", duration(), max(usual.stale_after, every))
    if stale_after < every:
        table.fault(
            "stale_after", f"is {kinds.shown(stale_after)}, shorter than `every`, {kinds.shown(every)}"
        )
    return Poll(
        every=every,
        fastest=min(fastest, every),
        timeout=table.take("timeout", duration(at_least=_SECOND), usual.timeout),
        concurrency=table.take("concurrency", whole(at_least=1, at_most=1_000), usual.concurrency),
        max_rate=table.take("max_rate", number(at_least=0.001, at_most=1e6), usual.max_rate),
        stale_after=stale_after,
        ca_bundle=existing_file(table, "ca_bundle", secrets),
        proxy=proxy(table, secrets),
    )


def alerts(table: Table) -> Alerts:
    """`[alerts]`."""
    usual = Alerts()
    return Alerts(
        remind_every=table.take("remind_every", duration(), usual.remind_every),
        recovery_margin=table.take("recovery_margin", number(at_least=0, at_most=1), usual.recovery_margin),
        runway_confidence=table.take(
            "runway_confidence", number(at_least=0.5, at_most=0.9), usual.runway_confidence
        ),
        group_over=table.take("group_over", whole(at_least=1, at_most=10**9), usual.group_over),
    )


def retention(table: Table) -> Retention:
    """`[retention]`: hourly readings outlive the raw ones."""
    usual = Retention()
    raw = table.take("raw", duration(at_least=_DAY), usual.raw)
    hourly = table.take("hourly", duration(at_least=_DAY), max(usual.hourly, raw))
    if hourly < raw:
        table.fault("hourly", f"is {kinds.shown(hourly)}, shorter than `raw`, {kinds.shown(raw)}")
    return Retention(raw=raw, hourly=hourly)


def web(table: Table, secrets: Secrets) -> Web:
    """`[web]`: without a `secret_key` the environment is asked for BALANCEBOT_SECRET_KEY."""
    host, port = table.take("listen", kinds.listen, ("127.0.0.1", 8080))
    shown_host = f"[{host}]" if ":" in host else host
    usual_key = secrets.environ.get("BALANCEBOT_SECRET_KEY")
    usual = Secret(usual_key) if usual_key and secrets.resolve else None
    return Web(
        host=host,
        port=port,
        public_url=table.take("public_url", kinds.base_url, f"http://{shown_host}:{port}"),
        secret_key=table.take("secret_key", secrets.read, usual),
    )


def heartbeat(table: Table, secrets: Secrets) -> Heartbeat:
    """`[heartbeat]`: whoever knows the address can ping it, so it is a secret."""
    return Heartbeat(
        url=table.need("url", secrets.reading(kinds.web_url), NO_SECRET), proxy=proxy(table, secrets)
    )


def templates_dir(table: Table, secrets: Secrets) -> Path | None:
    """`[templates].dir`: a folder that is there."""
    path = table.take("dir", text, None)
    if path is None:
        return None
    folder = secrets.base / path
    if not os.path.isdir(folder):  # Path.is_dir raises where a folder above may not be entered
        table.fault("dir", f"is no folder: {folder}")
    return folder


def package_sizes(table: Table) -> Mapping[Category, int]:
    """`[orders].package_sizes`."""
    return table.take("package_sizes", kinds.package_sizes, MappingProxyType({}))


def log(table: Table) -> Log:
    """`[log]`."""
    return Log(
        level=table.take("level", one_of(LogLevel), LogLevel.INFO),
        format=table.take("format", one_of(LogFormat), LogFormat.AUTO),
    )
