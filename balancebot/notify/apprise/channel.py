"""The services that Apprise supports, by one of its URLs: title and text of each message.

Apprise only returns success or failure, has no deadline of its own, and its log contains URLs with secrets. So it runs
in its own thread with a deadline, and only the HTTP status is taken from its log.
"""

import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import apprise

from balancebot.domain.message import Action, MessageRef, OutgoingMessage
from balancebot.domain.sentence import sentence
from balancebot.domain.verdict import Severity
from balancebot.notify.posting import OneWayChannel, PostedContent, claim_lost, content_of
from balancebot.notify.render import Renderer
from balancebot.ports import ChannelError, ChannelErrorKind

_WITHIN: Final = timedelta(seconds=30)
_STATUS: Final = re.compile(r"error=(\d{3})\b")
_REFUSED: Final = frozenset({401, 403, 404, 410})


class _Statuses(logging.Handler):
    """Keeps the HTTP statuses that Apprise logs, by thread, and shows nothing."""

    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self._of_thread: dict[int, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the status of a record, if it has one."""
        if (found := _STATUS.search(record.getMessage())) and record.thread is not None:
            self._of_thread[record.thread] = int(found[1])

    def take(self) -> int | None:
        """Return and forget the latest status that was logged on this thread."""
        return self._of_thread.pop(threading.get_ident(), None)


_STATUSES: Final = _Statuses()
_LOGGER = logging.getLogger("apprise")
_LOGGER.handlers[:] = [_STATUSES]
_LOGGER.propagate = False
_LOGGER.setLevel(logging.WARNING)


class AppriseChannel(OneWayChannel):
    """One Apprise URL, which is a secret."""

    def __init__(self, name: str, *, url: str, renderer: Renderer, timeout: timedelta = _WITHIN) -> None:
        """`url` must be one that Apprise can parse, which the configuration has checked."""
        self.name = name
        self._url = url
        self._renderer = renderer
        self._timeout = timeout

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Send title and text; edits are ignored."""
        if outgoing.action is Action.EDIT:
            return MessageRef(channel_id="", message_id="")
        content = content_of(outgoing, self._renderer)
        if not holds_claim():
            return claim_lost()
        return self._notify(content) or MessageRef(channel_id="", message_id="")

    def _notify(self, content: PostedContent) -> ChannelError | None:
        answers: list[tuple[bool, int | None]] = []

        def work() -> None:
            asset = apprise.AppriseAsset(app_id="balancebot", async_mode=False)
            # the service itself, which works on this thread, so that its statuses can be found
            service = apprise.Apprise.instantiate(self._url, asset=asset)
            text = "\n\n".join(filter(None, (content.text, content.link)))
            _STATUSES.take()
            taken = False
            with suppress(Exception):  # a bug in Apprise counts as a failure to send
                taken = service is not None and bool(
                    service.notify(title=content.title, body=text, notify_type=_type_of(content))
                )
            answers.append((taken, _STATUSES.take()))

        thread = threading.Thread(target=work, name=f"{self.name} apprise", daemon=True)
        thread.start()
        thread.join(self._timeout.total_seconds())
        if not answers:
            return ChannelError(
                kind=ChannelErrorKind.IN_DOUBT,
                message=sentence(
                    "%(host)s gave no answer: %(reason)s", host=self.name, reason=sentence("timed out")
                ),
            )
        taken, status = answers[0]
        if taken:
            return None
        return ChannelError(
            kind=_kind_of(status),
            message=sentence("Apprise could not send to %(channel)s", channel=self.name)
            if status is None
            else sentence(
                "Apprise could not send to %(channel)s: HTTP %(status)s", channel=self.name, status=status
            ),
        )


def _kind_of(status: int | None) -> ChannelErrorKind:
    if status in _REFUSED:
        return ChannelErrorKind.AUTH
    return ChannelErrorKind.RATE_LIMITED if status == 429 else ChannelErrorKind.SERVER


def _type_of(content: PostedContent) -> apprise.NotifyType:
    if content.severity is None:
        return apprise.NotifyType.INFO
    if content.is_over:
        return apprise.NotifyType.SUCCESS if content.has_recovered else apprise.NotifyType.INFO
    is_warning = content.severity is Severity.WARNING
    return apprise.NotifyType.WARNING if is_warning else apprise.NotifyType.FAILURE
