"""Slack by bot token: posts, edits, and replies in threads. Each message can be found again by its delivery's id.

The metadata of a message (`balancebot_delivery`) contains the delivery and the alert: a delivery whose answer was lost
is searched for by them. If Slack refuses the blocks of a message, its plain text is sent.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final, assert_never

from balancebot.config import Proxy
from balancebot.domain.message import Action, MessageRef, OutgoingMessage
from balancebot.domain.sentence import clean_text, sentence
from balancebot.network import TIMEOUT
from balancebot.notify.render import Renderer
from balancebot.notify.slack.api import (
    SCOPES_KEY,
    Answer,
    SlackApi,
    SlackError,
    in_doubt_over,
    object_of,
    slack_error,
)
from balancebot.notify.slack.blocks import SlackMessage, buttons_for, message_of
from balancebot.ports import Capabilities, ChannelError, ChannelErrorKind, Finding

EVENT_TYPE: Final = "balancebot_delivery"
SCOPES: Final = ("chat:write", "channels:read", "groups:read", "channels:history", "groups:history")
"""The scopes that the bot token must have."""

_ID = re.compile(r"[CGDUW][A-Z0-9]{1,40}")
"""A channel's id. Names can't match, because they have no capital letters."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
_MOST_SEARCHED: Final = 25
"""In pages of 200 messages, the latest first. Times aren't used to limit the search, as this machine's clock may have
been wrong."""
_MOST_REFUSALS: Final = 6
"""From this attempt on, a search that is refused counts as one that isn't possible."""
_NAME_PREFIX: Final = "#"
_CANT_FIND: Final = {"missing_scope", "unknown_method", "channel_not_found"}


class SlackChannel:
    """One workspace; destinations are channels, by name or by id."""

    def __init__(
        self,
        *,
        token: str,
        renderer: Renderer,
        api_url: str = "https://slack.com/api/",
        proxy: Proxy | None = None,
        timeout: timedelta = TIMEOUT,
        app_token: str | None = None,
        names_groups: bool = False,
        recall: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """With `app_token` clicks are received (Socket Mode), so messages have buttons.

        `names_groups`: the configured roles contain user groups. `recall` returns the stored ids of channel names.
        """
        self._api = SlackApi(token=token, api_url=api_url, proxy=proxy, timeout=timeout)
        self._app = (
            None
            if app_token is None
            else SlackApi(token=app_token, api_url=api_url, proxy=proxy, timeout=timeout)
        )
        self._names_groups = names_groups
        self._renderer = renderer
        self._recall = recall
        self._ids: dict[str, str] | None = None
        self._resolving = threading.Lock()

    capabilities = Capabilities(can_edit=True, has_threads=True, can_find=True, can_check=True)

    @property
    def name(self) -> str:
        """Slack."""
        return "slack"

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Post, reply or edit; see `Channel`."""
        channel_id = self._channel_id(outgoing)
        if isinstance(channel_id, ChannelError):
            return channel_id
        buttons = (
            buttons_for(outgoing.message, self._renderer.words_for(outgoing.message)) if self._app else []
        )
        message = message_of(self._renderer, outgoing, buttons=buttons)
        answer = self._write(outgoing, channel_id, message, holds_claim)
        if isinstance(answer, ChannelError) and (other := self._new_channel_id(outgoing, channel_id, answer)):
            channel_id, answer = other, self._write(outgoing, other, message, holds_claim)
        if isinstance(answer, ChannelError):
            in_doubt = answer.kind is ChannelErrorKind.IN_DOUBT
            return _harmless(answer) if in_doubt and outgoing.action is Action.EDIT else answer
        if outgoing.thread is not None and outgoing.action is Action.EDIT:
            return outgoing.thread
        timestamp, posted_to = _timestamp_of(answer), _id_in(answer, "channel")
        if not timestamp or not posted_to:
            return in_doubt_over(200, where=outgoing.destination.address)
        self._known_ids()[outgoing.destination.address] = posted_to
        return MessageRef(channel_id=posted_to, message_id=timestamp)

    def _new_channel_id(self, outgoing: OutgoingMessage, channel_id: str, error: ChannelError) -> str | None:
        """Return the id of the channel that has the name now, if the known one no longer accepts messages."""
        if error.kind is not ChannelErrorKind.NO_SUCH_DESTINATION or outgoing.action is not Action.POST:
            return None
        self._known_ids().pop(outgoing.destination.address, None)
        now = self._channel_id(outgoing)
        return now if isinstance(now, str) and now != channel_id else None

    def _write(
        self,
        outgoing: OutgoingMessage,
        channel_id: str,
        message: SlackMessage,
        holds_claim: Callable[[], bool],
    ) -> Answer | ChannelError:
        answer = self._write_once(
            outgoing, channel_id, holds_claim, text=message.text, blocks=list(message.blocks)
        )
        if isinstance(answer, SlackError) and answer.is_about_blocks:
            return self._write_once(outgoing, channel_id, holds_claim, text=message.plain, blocks=[])
        return answer

    def _write_once(
        self,
        outgoing: OutgoingMessage,
        channel_id: str,
        holds_claim: Callable[[], bool],
        *,
        text: str,
        blocks: list[object],
    ) -> Answer | ChannelError:
        if not holds_claim():
            return ChannelError(
                kind=ChannelErrorKind.LEASE_LOST, message=sentence("the claim on this delivery has run out")
            )
        where = outgoing.destination.address
        thread = outgoing.thread
        match outgoing.action:
            case Action.EDIT:
                return self._api.write(
                    "chat.update",
                    where=where,
                    channel=channel_id,
                    ts=thread and thread.message_id,
                    text=text,
                    blocks=blocks,
                )
            case Action.POST | Action.REPLY as action:
                return self._api.write(
                    "chat.postMessage",
                    where=where,
                    channel=channel_id,
                    text=text,
                    blocks=blocks,
                    metadata=_metadata(outgoing),
                    thread_ts=thread.message_id if thread and action is Action.REPLY else None,
                    reply_broadcast=True if outgoing.broadcast and action is Action.REPLY else None,
                    unfurl_links=False,
                    unfurl_media=False,
                )
            case _:
                assert_never(outgoing.action)

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        """Search the channel, or the thread, for messages with this delivery's metadata.

        The search is limited by Slack's timestamps, because this machine's clock may have been wrong by hours.
        """
        if outgoing.action is Action.EDIT:
            return []
        channel_id = self._channel_id(outgoing)
        if isinstance(channel_id, ChannelError):
            return channel_id
        if channel_id.startswith(_NAME_PREFIX):
            return ChannelError(
                kind=ChannelErrorKind.REJECTED,
                message=sentence("the id of %(name)s is not known", name=outgoing.destination.address),
            )
        in_thread = outgoing.thread is not None and outgoing.action is Action.REPLY
        found: list[MessageRef] = []
        pages = self._api.pages(
            "conversations.replies" if in_thread else "conversations.history",
            "messages",
            where=outgoing.destination.address,
            channel=channel_id,
            ts=outgoing.thread.message_id if outgoing.thread and in_thread else None,
            oldest=after.message_id if after and not in_thread else None,
            include_all_metadata=True,
            limit=200,
        )
        for page in islice(pages, _MOST_SEARCHED):
            if isinstance(page, ChannelError):
                return _unsearchable(page, outgoing.attempt)
            found += [
                MessageRef(channel_id=channel_id, message_id=timestamp)
                for message in page
                if _is_of(message, outgoing) and (timestamp := _timestamp_of(message))
            ]
        return sorted(found, key=lambda ref: float(ref.message_id))

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Delete a message; it is no error if the message is already gone."""
        answer = self._api.write(
            "chat.delete", where=ref.channel_id, channel=ref.channel_id, ts=ref.message_id
        )
        if isinstance(answer, ChannelError) and answer.kind is not ChannelErrorKind.MESSAGE_GONE:
            return _harmless(answer)
        return None

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Check the tokens, report missing scopes, and check that the bot is in each destination."""
        answer = self._api.read("auth.test", where="the bot token")
        if isinstance(answer, ChannelError):
            return [Finding(ok=False, words=str(answer.message)), *self._check_app_token()]
        findings = [
            Finding(
                ok=True, words=clean_text(f"token of {answer.get('user', '?')} in {answer.get('team', '?')}")
            )
        ]
        granted = {scope.strip() for scope in str(answer[SCOPES_KEY]).split(",") if scope}
        listens = self._app is not None
        needed = (*SCOPES, *(["usergroups:read"] if listens and self._names_groups else []))
        useful = ["commands"] if listens else []
        findings += [
            Finding(
                ok=None if scope in useful else False,
                words=f"scope {scope} is missing; add it and install the app again",
            )
            for scope in (*needed, *useful)
            if granted and scope not in granted
        ]
        if listens and granted and "users:read" not in granted:
            findings.append(
                Finding(
                    ok=None,
                    words="scope users:read is missing: guests of the workspace can't be told from members, and may act; "
                    "add it and install the app again",
                )
            )
        findings += [self._membership(destination, granted) for destination in destinations]
        return findings + self._check_app_token()

    def _check_app_token(self) -> list[Finding]:
        if self._app is None:
            return []
        opened = self._app.open_socket()
        if isinstance(opened, ChannelError):
            return [Finding(ok=False, words=str(opened.message))]
        return [Finding(ok=True, words="the app token opens a socket for buttons and /balance")]

    def _membership(self, destination: str, granted: set[str]) -> Finding:
        if destination[0] in "DUW" and _ID.fullmatch(destination):
            return Finding(ok=True, words=f"{destination} is a direct message")
        found = self._find(destination)
        if isinstance(found, ChannelError):
            return Finding(ok=False, words=str(found.message))
        may_join_in = "chat:write.public" in granted and not found.get("is_private")
        if found.get("is_member") is False and not may_join_in:
            return Finding(ok=False, words=f"the bot isn't in {destination}: /invite it there")
        return Finding(ok=True, words=f"may post to {destination}")

    def close(self) -> None:
        """Do nothing: no connection is kept between calls."""

    def _channel_id(self, outgoing: OutgoingMessage) -> str | ChannelError:
        """Return the id of the message's channel: its thread's, or the resolved destination."""
        if outgoing.thread is not None and outgoing.thread.channel_id and outgoing.action is not Action.POST:
            return outgoing.thread.channel_id
        return self._resolve(outgoing.destination.address)

    def _resolve(self, destination: str) -> str | ChannelError:
        """Return a channel's id: looked up by its name once, then cached."""
        if _ID.fullmatch(destination):
            return destination
        with self._resolving:
            ids = self._known_ids()
            if channel_id := ids.get(destination):
                return channel_id
            found = self._find(destination)
            if isinstance(found, SlackError) and found.code in _CANT_FIND:
                # Slack accepts a name in a post too, answers with the id, and has the best error for a wrong name.
                return _NAME_PREFIX + destination.removeprefix(_NAME_PREFIX)
            if isinstance(found, ChannelError):
                return found
            ids[destination] = found["id"]
            return ids[destination]

    def _known_ids(self) -> dict[str, str]:
        """Return the known ids by name, including those from before this process started."""
        if self._ids is None:
            self._ids = dict(self._recall())
        return self._ids

    def _find(self, destination: str) -> Answer | ChannelError:
        """Find a channel by its name or id among all that the bot can see, except archived ones."""
        wanted = destination.removeprefix("#")
        archived = False
        for page in self._api.pages(
            "conversations.list",
            "channels",
            where=destination,
            types="public_channel,private_channel",
            limit=1000,
        ):
            if isinstance(page, ChannelError):
                return _harmless(page)
            for channel in page:
                id_ = _id_in(channel, "id")
                if id_ and wanted in {str(channel.get("name")), id_}:
                    if not channel.get("is_archived"):
                        return {**channel, "id": id_}
                    archived = True
        return slack_error("is_archived" if archived else "channel_not_found", where=destination)


def _metadata(outgoing: OutgoingMessage) -> dict[str, object]:
    return {
        "event_type": EVENT_TYPE,
        "event_payload": {"delivery": outgoing.delivery_id, "alert": outgoing.alert_id},
    }


def _is_of(message: Answer, outgoing: OutgoingMessage) -> bool:
    metadata = object_of(message, "metadata")
    payload = object_of(metadata, "event_payload")
    return metadata.get("event_type") == EVENT_TYPE and payload.get("delivery") == outgoing.delivery_id


def _timestamp_of(message: Answer) -> str:
    found = message.get("ts")
    return found if isinstance(found, str) and _TIMESTAMP.fullmatch(found) else ""


def _id_in(answer: Answer, key: str) -> str:
    found = answer.get(key)
    return found if isinstance(found, str) and _ID.fullmatch(found) else ""


def _harmless(error: ChannelError) -> ChannelError:
    """Turn an error in doubt into one that nothing was done, for a call that is safe to repeat."""
    if error.kind is not ChannelErrorKind.IN_DOUBT:
        return error
    return ChannelError(kind=ChannelErrorKind.SERVER, message=error.message)


def _unsearchable(error: ChannelError, attempt: int) -> ChannelError:
    """Return the error of a search: without permission it isn't retried, after another refusal only a few times."""
    if isinstance(error, SlackError) and error.code == "missing_scope":
        return ChannelError(kind=ChannelErrorKind.REJECTED, message=error.message)
    if error.kind is ChannelErrorKind.REJECTED and attempt < _MOST_REFUSALS:
        return ChannelError(kind=ChannelErrorKind.SERVER, message=error.message)
    return _harmless(error)
