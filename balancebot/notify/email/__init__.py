"""E-mail: `compose.py` turns a message into a mail, `smtp.py` sends it."""

from balancebot.config import EmailConfig
from balancebot.notify.channel import ChannelContext, RegisteredChannel, Show
from balancebot.ports import Channel


def _build(name: str, email: EmailConfig, context: ChannelContext) -> Channel:
    from balancebot.notify.email.smtp import SmtpChannel  # lazy: only a configured channel

    del name
    return SmtpChannel(
        host=email.host,
        port=email.port,
        security=email.security,
        sender=email.sender,
        username=email.username,
        password=None if email.password is None else email.password.reveal(),
        renderer=context.renderer,
    )


def _preview(email: EmailConfig, context: ChannelContext, show: Show) -> Channel:
    from balancebot.notify.preview import PreviewMail  # lazy: only the demo shows messages

    return PreviewMail(context.renderer, show, sender=email.sender)


EMAIL = RegisteredChannel(section=EmailConfig, build=_build, preview=_preview)
