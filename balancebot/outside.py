"""The parts that speak to the world outside, as one configuration wants them. Each is imported when it is made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from balancebot.config import AccountConfig, EmailConfig, Settings, SlackConfig
from balancebot.domain.balance import WalletName, app_of
from balancebot.ports import Channel, Clock, Finding
from balancebot.store import living_messages
from balancebot.store.database import Database
from balancebot.store.errors import DatabaseError

if TYPE_CHECKING:
    from balancebot.jsms.source import Endpoint, JsmsSource
    from balancebot.notify.email.smtp import SmtpChannel
    from balancebot.notify.render import Renderer
    from balancebot.notify.slack.channel import SlackChannel
    from balancebot.notify.slack.webhook import SlackWebhook


def source(settings: Settings, clock: Clock) -> "JsmsSource":
    """Make what the balances are asked of."""
    from balancebot.jsms.source import JsmsSource

    poll = settings.poll
    return JsmsSource(
        endpoints(settings.accounts),
        clock=clock,
        timeout=poll.timeout,
        concurrency=poll.concurrency,
        max_rate=poll.max_rate,
        ca_bundle=poll.ca_bundle,
        proxy=poll.proxy,
    )


def endpoints(accounts: Iterable[AccountConfig]) -> "dict[WalletName, Endpoint]":
    """Return where and with what each wallet is asked for."""
    from balancebot.jsms.answer import EndpointKind
    from balancebot.jsms.source import Endpoint

    return {
        name: Endpoint(
            base_url=account.base_url,
            kind=EndpointKind.ACCOUNT if app_of(name) is None else EndpointKind.APP,
            key=keys.key,
            secret=keys.secret,
        )
        for account in accounts
        for name, keys in account.wallets()
    }


def slack(slack: SlackConfig, renderer: "Renderer", database: Database) -> "SlackChannel | SlackWebhook":
    """Make Slack, by webhook or by bot token; with buttons where somebody listens to them."""
    from balancebot.notify.slack.channel import SlackChannel
    from balancebot.notify.slack.webhook import SlackWebhook

    if slack.webhook_url is not None:
        return SlackWebhook(url=slack.webhook_url.reveal(), renderer=renderer, proxy=slack.proxy)
    assert slack.bot_token is not None  # noqa: S101 -- settings refuse neither
    return SlackChannel(
        token=slack.bot_token.reveal(),
        renderer=renderer,
        api_url=slack.api_url,
        proxy=slack.proxy,
        buttons=slack.app_token is not None,
        recall=lambda: _rooms_before(database),
    )


def _rooms_before(database: Database) -> Mapping[str, str]:
    """Return the ids of Slack's channels by name; none where the database can't be asked: they are resolved anew."""
    try:
        with database.read() as conn:
            return living_messages.channel_ids(conn, "slack")
    except DatabaseError:
        return {}


def email(email: EmailConfig, renderer: "Renderer") -> "SmtpChannel":
    """Make the way to the mail server."""
    from balancebot.notify.email.smtp import SmtpChannel

    return SmtpChannel(
        host=email.host,
        port=email.port,
        security=email.security,
        sender=email.sender,
        username=email.username,
        password=None if email.password is None else email.password.reveal(),
        renderer=renderer,
    )


def shown(settings: Settings, renderer: "Renderer", say: Callable[[str], None]) -> Mapping[str, Channel]:
    """Make channels that show each message as its reader would see it, and send nothing."""
    from balancebot.notify.preview import PreviewMail, PreviewSlack

    channels: dict[str, Channel] = {}
    if settings.slack is not None:
        channels["slack"] = PreviewSlack(renderer, say)
    if settings.email is not None:
        channels["email"] = PreviewMail(renderer, say, sender=settings.email.sender)
    return channels


def check_slack(
    settings: Settings, channel: "SlackChannel | SlackWebhook | None"
) -> Iterator[tuple[str, Finding]]:
    """Try Slack's tokens, scopes and rooms without sending anything; a webhook can't be tried."""
    from balancebot.notify.slack.api import check_app_token
    from balancebot.notify.slack.channel import SlackChannel

    if settings.slack is None or not isinstance(channel, SlackChannel):
        return
    token = settings.slack.app_token
    scopes = ("usergroups:read",) if token is not None and settings.slack.roles.names_groups else ()
    wanted = () if token is None else ("commands",)
    for finding in channel.check(settings.destinations("slack"), scopes=scopes, wanted=wanted):
        yield "slack", finding
    if token is not None:
        found = check_app_token(token.reveal(), api_url=settings.slack.api_url, proxy=settings.slack.proxy)
        yield "slack", found
