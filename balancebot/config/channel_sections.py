"""Who is told, and how: `[slack]`, `[email]`, `[[routes]]`, `[[digests]]`."""

from types import MappingProxyType

from balancebot.config import kinds
from balancebot.config.kinds import list_of, one_of, text, whole
from balancebot.config.secrets import Secrets
from balancebot.config.shapes import NO_ROOM, Digest, Email, Language, MailSecurity, Slack, SlackRoles
from balancebot.config.shared_keys import proxy, unique_name
from balancebot.config.table import Table
from balancebot.domain.message import ChannelName
from balancebot.domain.routing import Route


def slack(table: Table, secrets: Secrets) -> Slack:
    """`[slack]`: a bot token or a webhook."""
    bot_token = table.take("bot_token", secrets.read, None)
    webhook_url = table.take("webhook_url", secrets.reading(kinds.web_url), None)
    app_token = table.take("app_token", secrets.read, None)
    by_token, by_webhook = table.has("bot_token"), table.has("webhook_url")
    if by_token == by_webhook:
        table.fault("", "needs either bot_token or webhook_url" + (", not both" if by_token else ""))
    if by_webhook and app_token is not None:
        table.fault("app_token", "works with a bot_token only, not with a webhook")
    channel = table.take("channel", text, NO_ROOM) if by_webhook else table.need("channel", text, NO_ROOM)
    api_url = table.take("api_url", kinds.base_url, "https://slack.com/api")
    return Slack(
        bot_token=bot_token,
        webhook_url=webhook_url,
        app_token=app_token,
        channel=channel,
        api_url=api_url + "/",
        proxy=proxy(table, secrets),
        roles=_roles(table.section("roles")),
    )


def _roles(table: Table) -> SlackRoles:
    usual = SlackRoles()
    members = list_of(kinds.slack_member)
    return SlackRoles(
        viewer=frozenset(table.take("viewer", members, tuple(usual.viewer))),
        finance=frozenset(table.take("finance", members, tuple(usual.finance))),
        admin=frozenset(table.take("admin", members, tuple(usual.admin))),
    )


def email(table: Table, secrets: Secrets) -> Email:
    """`[email]`: a user name comes with its password."""
    username = table.take("username", text, None)
    password = table.take("password", secrets.read, None)
    for one, other in (("username", "password"), ("password", "username")):
        if table.has(one) and not table.has(other):
            table.fault(other, f"is missing beside {one}")
    return Email(
        host=table.need("host", text, ""),
        port=table.take("port", whole(at_least=1, at_most=65_535), 587),
        security=table.take("security", one_of(MailSecurity), MailSecurity.STARTTLS),
        username=username,
        password=password,
        sender=table.need("from", kinds.sender, ""),
        to=table.take("to", list_of(kinds.address), ()),
    )


def routes(root: Table, slack: Slack | None) -> tuple[Route, ...]:
    """`[[routes]]`: a route without a readable pattern is left out, since the file is refused anyway."""
    routes = []
    for table in root.tables("routes"):
        match = table.need("match", kinds.pattern, None)
        severity = table.take("severity", kinds.severity, None)
        destinations: dict[str, tuple[str, ...]] = {
            channel.value: table.take(channel.value, list_of(parse), ())
            for channel, parse in ((ChannelName.SLACK, text), (ChannelName.EMAIL, kinds.address))
            if table.has(channel.value)
        }
        _refuse_other_rooms(table, destinations.get(ChannelName.SLACK, ()), slack)
        if match is not None:
            routes.append(Route(match=match, severity=severity, destinations=MappingProxyType(destinations)))
    return tuple(routes)


def digests(root: Table, language: Language, slack: Slack | None) -> tuple[Digest, ...]:
    """`[[digests]]`: each goes somewhere; `language` is the one of the file."""
    names: dict[str, str] = {}
    digests = []
    for table in root.tables("digests"):
        if not table.has_any("to", "slack"):
            table.fault("", "goes nowhere: it needs `to` or `slack`")
        rooms = table.take("slack", list_of(text), ())
        _refuse_other_rooms(table, rooms, slack)
        digests.append(
            Digest(
                name=unique_name(table, names, text),
                cron=table.need("cron", kinds.cron, ""),
                to=table.take("to", list_of(kinds.address), ()),
                slack=rooms,
                language=table.take("language", one_of(Language), language),
            )
        )
    return tuple(digests)


def _refuse_other_rooms(table: Table, rooms: tuple[str, ...], slack: Slack | None) -> None:
    if slack is not None and slack.webhook_url is not None and set(rooms) - {slack.channel}:
        table.fault("slack", "names a channel, but a webhook posts to its own channel only")
