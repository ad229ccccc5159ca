"""Responses that one person alone sees, and the top-up form."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from balancebot.config import Proxy
from balancebot.domain.sentence import sentence
from balancebot.i18n import Wording
from balancebot.network import post_json
from balancebot.notify.slack.api import SlackApi
from balancebot.notify.slack.blocks import Block, message
from balancebot.notify.slack.payloads import EXPECTED, NOTE, TOP_UP_FORM, ReplyTo, Submission
from balancebot.ports import ChannelError, ChannelErrorKind

MAX_NOTE = 500
_USUAL_WAIT = timedelta(days=3)
"""What a purchase takes where nobody says otherwise."""
_LONGEST_WAIT = timedelta(days=90)


def top_up_form(alert_id: str, reply_to: ReplyTo, *, words: Wording, now: datetime) -> dict[str, Any]:
    """Build the form for one alert; the time is chosen, and shown by Slack, in the person's own time zone."""
    usual = (now + _USUAL_WAIT).replace(minute=0, second=0, microsecond=0)
    return {
        "type": "modal",
        "callback_id": TOP_UP_FORM,
        "private_metadata": json.dumps({"alert": alert_id, "channel": reply_to.channel, "url": reply_to.url}),
        "title": _plain(words.gettext("Top-up ordered")),
        "submit": _plain(words.gettext("Acknowledge")),
        "close": _plain(words.gettext("Cancel")),
        "blocks": [
            {
                "type": "input",
                "block_id": EXPECTED,
                "label": _plain(words.gettext("Expected by")),
                "hint": _plain(
                    words.gettext("If the balance hasn't risen by then, the alert is sent again.")
                ),
                "element": {
                    "type": "datetimepicker",
                    "action_id": EXPECTED,
                    "initial_date_time": int(usual.timestamp()),
                },
            },
            {
                "type": "input",
                "block_id": NOTE,
                "optional": True,
                "label": _plain(words.gettext("Note")),
                "element": {
                    "type": "plain_text_input",
                    "action_id": NOTE,
                    "max_length": MAX_NOTE,
                },
            },
        ],
    }


def fault_of(submission: Submission, *, words: Wording, now: datetime) -> dict[str, Any] | None:
    """Return what Slack is to show beside the field that is wrong; None when the form can be taken."""
    if submission.expected is None or submission.expected <= now.timestamp():
        fault = words.gettext("Choose a time in the future.")
    elif submission.expected > (now + _LONGEST_WAIT).timestamp():
        fault = words.gettext("Choose a time within %(days)s days.", days=_LONGEST_WAIT.days)
    else:
        return None
    return {"response_action": "errors", "errors": {EXPECTED: fault}}


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


log = logging.getLogger(__name__)

_TIMEOUT = timedelta(seconds=10)


class SlackWorkspace:
    """Slack as the listener speaks to it."""

    def __init__(self, *, bot_token: str, app_token: str, api_url: str, proxy: Proxy | None) -> None:
        self._bot = SlackApi(token=bot_token, api_url=api_url, proxy=proxy, timeout=_TIMEOUT)
        self._app = SlackApi(token=app_token, api_url=api_url, proxy=proxy, timeout=_TIMEOUT)
        self._proxy = proxy

    def open_url(self) -> str | ChannelError:
        """Ask for the address of a new socket."""
        return self._app.open_socket()

    def members(self, group: str) -> frozenset[str] | ChannelError:
        """Ask who is in a user group."""
        answer = self._bot.read("usergroups.users.list", where=group, usergroup=group)
        return answer if isinstance(answer, ChannelError) else frozenset(map(str, answer.get("users", ())))

    def open_form(self, trigger: str, form: Mapping[str, Any]) -> ChannelError | None:
        """Open a form for the person who clicked."""
        answer = self._bot.write("views.open", where=sentence("the form"), trigger_id=trigger, view=form)
        return answer if isinstance(answer, ChannelError) else None

    def whisper(self, to: ReplyTo, text: str, buttons: Sequence[Block] = ()) -> None:
        """Answer one person with text in Slack's own markup, and buttons; where that fails it is logged."""
        said = message(text, extra=buttons)
        body = {"text": said.text, "blocks": list(said.blocks)}
        error = self._by_address(to.url, body) if to.url else None
        if to.channel and (error is not None or not to.url):
            answer = self._bot.write(
                "chat.postEphemeral", where=to.channel, channel=to.channel, user=to.person, **body
            )
            error = answer if isinstance(answer, ChannelError) else None
        if error is not None:
            log.warning("slack.unanswered", extra={"error": str(error.message)})

    def _by_address(self, url: str, body: Mapping[str, Any]) -> ChannelError | None:
        told = {**body, "response_type": "ephemeral", "replace_original": False}
        answer = post_json(url, told, service="Slack", proxy=self._proxy, within=_TIMEOUT)
        if isinstance(answer, ChannelError) or answer.status == 200:
            return answer if isinstance(answer, ChannelError) else None
        return ChannelError(
            kind=ChannelErrorKind.IN_DOUBT,
            message=sentence("%(host)s answers %(said)s", host="Slack", said=f"HTTP {answer.status}"),
        )


def escaped(text: str) -> str:
    """Make text mean itself in Slack's markup, on one line."""
    plain = " ".join(text.split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
