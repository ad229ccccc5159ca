"""Slack by incoming webhook: it can only post, to the channel for which it was made.

It can't edit, thread or search: each notification is a new message, and a delivery in doubt may arrive twice.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from balancebot.config import Proxy
from balancebot.domain.message import Action, MessageRef, OutgoingMessage
from balancebot.network import TIMEOUT, HttpAnswer, post_json
from balancebot.notify.posting import OneWayChannel, claim_lost
from balancebot.notify.render import Renderer
from balancebot.notify.slack.api import SlackError, in_doubt_over, rate_limited, slack_error
from balancebot.notify.slack.blocks import message_of
from balancebot.ports import ChannelError, Finding


class SlackWebhook(OneWayChannel):
    """One incoming webhook; its URL is a secret, and no error contains it."""

    name = "slack"

    def __init__(
        self,
        *,
        url: str,
        renderer: Renderer,
        proxy: Proxy | None = None,
        timeout: timedelta = TIMEOUT,
    ) -> None:
        self._url = url
        self._renderer = renderer
        self._proxy = proxy
        self._timeout = timeout

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Post the message; edits are ignored. The ref is empty, because messages can't be replied to."""
        ref = MessageRef(channel_id="", message_id="")
        if outgoing.action is Action.EDIT:
            return ref
        message = message_of(self._renderer, outgoing, alone=True)
        error = self._post({"text": message.text, "blocks": message.blocks}, outgoing, holds_claim)
        if isinstance(error, SlackError) and error.is_about_blocks:
            error = self._post({"text": message.plain}, outgoing, holds_claim)
        return error or ref

    def _post(
        self, body: dict[str, object], outgoing: OutgoingMessage, holds_claim: Callable[[], bool]
    ) -> ChannelError | None:
        if not holds_claim():
            return claim_lost()
        where = outgoing.destination.address
        answer = post_json(self._url, body, service="Slack", proxy=self._proxy, within=self._timeout)
        if isinstance(answer, ChannelError):
            return answer
        return None if (answer.status, answer.text) == (200, "ok") else _refused(answer, where=where)

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Return the finding that a webhook can't be checked without posting."""
        del destinations
        words = "a webhook can't be tried without posting: balancebot notify test --slack"
        return [Finding(ok=None, words=words)]


def _refused(answer: HttpAnswer, *, where: str) -> ChannelError:
    if answer.status == 429:
        return rate_limited(answer.headers.get("Retry-After"), where=where)
    code = answer.text.strip()
    if answer.status == 200 or len(code) > 200 or not (code.isascii() and code.replace("_", "").isalnum()):
        return in_doubt_over(answer.status, where=where)
    return slack_error(code, where=where)
