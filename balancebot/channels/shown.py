"""Channels that send nothing: each message is shown as its reader would see it. For the demo.

What is shown is made by the same code that makes what is sent; only the line to the outside is missing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count

from balancebot.channels.mail import address, compose
from balancebot.channels.preview import mail_preview, slack_preview
from balancebot.channels.render import Renderer
from balancebot.channels.slack_words import message_of
from balancebot.domain.notification import Action, Parcel, Receipt
from balancebot.domain.notification import Channel as ChannelName
from balancebot.ports import ChannelError

Say = Callable[[str], None]


class ShownSlack:
    """A workspace that stands on the screen."""

    name = ChannelName.SLACK

    def __init__(self, renderer: Renderer, say: Say) -> None:
        self._renderer = renderer
        self._say = say
        self._numbers = count(1)

    def deliver(self, parcel: Parcel, *, still_mine: Callable[[], bool]) -> Receipt | ChannelError:  # noqa: ARG002
        """Show a message with what becomes of it there; an edit is only told of."""
        message = message_of(self._renderer, parcel)
        shown = slack_preview({"text": message.text, "blocks": message.blocks})
        match parcel.action:
            case Action.POST:
                self._say(f"Slack {parcel.destination}\n{shown}")
            case Action.REPLY:
                also = ", and to the channel" if parcel.broadcast else ""
                self._say(f"Slack {parcel.destination}, in the thread{also}\n{shown}")
            case Action.EDIT:
                self._say(f"Slack {parcel.destination}, the message is edited: {message.text}")
        return Receipt(room=parcel.destination, ref=f"{next(self._numbers)}.000")

    def look_for(self, parcel: Parcel, *, since: datetime) -> Sequence[Receipt] | ChannelError:  # noqa: ARG002
        """Find nothing: no answer was ever lost."""
        return ()

    def withdraw(self, receipt: Receipt) -> ChannelError | None:  # noqa: ARG002
        """Have nothing to delete."""
        return None

    def close(self) -> None:
        """Hold nothing open."""


class ShownMail:
    """A mailbox that stands on the screen."""

    name = ChannelName.EMAIL

    def __init__(self, renderer: Renderer, say: Say, *, sender: str) -> None:
        self._renderer = renderer
        self._say = say
        self._sender = address(sender)

    def deliver(self, parcel: Parcel, *, still_mine: Callable[[], bool]) -> Receipt | ChannelError:  # noqa: ARG002
        """Show a mail."""
        mail = compose(parcel, self._renderer, sender=self._sender)
        self._say(f"E-mail\n{mail_preview(mail.message)}")
        return Receipt(room="", ref=mail.message_id, subject=mail.subject)

    def look_for(self, parcel: Parcel, *, since: datetime) -> Sequence[Receipt] | ChannelError:  # noqa: ARG002
        """Find nothing: no answer was ever lost."""
        return ()

    def withdraw(self, receipt: Receipt) -> ChannelError | None:  # noqa: ARG002
        """Have nothing to delete."""
        return None

    def close(self) -> None:
        """Hold nothing open."""
