"""Calls of Slack's Web API. Each returns an answer, or a `ChannelError` that says whether it may have taken effect."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from balancebot.config import Proxy
from balancebot.domain.sentence import Part, sentence
from balancebot.network import exchange, proxy_for
from balancebot.ports import ChannelError, ChannelErrorKind, parse_retry_after

Answer: TypeAlias = Mapping[str, Any]
SCOPES_KEY: Final = "_scopes"
"""The key under which the token's scopes, from a header, are added to an answer."""

_MOST_PAGES = 100
_NO_SUCH_METHOD: Final = {404, 405, 501}
"""HTTP statuses of a server that doesn't know the method, so that nothing was done."""


class SlackApi:
    """A Slack workspace as the bot token sees it. Safe to call from several threads."""

    def __init__(self, *, token: str, api_url: str, proxy: Proxy | None, timeout: timedelta) -> None:
        self._token = token
        self._api_url = api_url
        self._proxy = proxy
        self._timeout = timeout

    def write(self, method: str, *, where: Part, **params: object) -> Answer | ChannelError:
        """Call a method that changes something; errors name `where`, the channel. Parameters that are None are omitted."""
        return self._call(method, where=where, json=_given(params))

    def read(self, method: str, *, where: Part, **params: object) -> Answer | ChannelError:
        """Call a method that only reads. Slack expects a form there, not JSON."""
        form = {
            key: str(int(value) if isinstance(value, bool) else value)
            for key, value in _given(params).items()
        }
        return self._call(method, where=where, data=form)

    def _call(
        self,
        method: str,
        *,
        where: Part,
        json: dict[str, object] | None = None,
        data: dict[str, str] | None = None,
    ) -> Answer | ChannelError:
        async def call(session: aiohttp.ClientSession) -> AsyncSlackResponse:
            client = AsyncWebClient(
                token=self._token,
                base_url=self._api_url,
                session=session,
                retry_handlers=[],  # the outbox retries: the SDK would post twice if an answer is lost
                logger=_SILENT,  # every failure is returned as a value and logged once, by the outbox
            )
            # not the SDK's own use of the environment, which ignores NO_PROXY
            client.proxy = proxy_for(self._api_url, self._proxy)
            return await client.api_call(method, json=json, data=data)

        try:
            response = exchange(call, service="Slack", within=self._timeout)
        except SlackApiError as refusal:
            return _refused(refusal, where=where)
        except (ValueError, AttributeError, TypeError, RecursionError):
            # The SDK raises these for a body that isn't a JSON object in UTF-8.
            return in_doubt_over(200, where=where)
        if isinstance(response, ChannelError):
            return response
        headers = {key.lower(): str(value) for key, value in response.headers.items()}
        return {**_object(response.data), SCOPES_KEY: headers.get("x-oauth-scopes", "")}

    def open_socket(self) -> str | ChannelError:
        """Request the URL of a Socket Mode connection, with an app-level token. The URL is valid once, and is a secret."""
        answer = self.write("apps.connections.open", where=sentence("the app token"))
        return answer if isinstance(answer, ChannelError) else str(answer.get("url", ""))

    def pages(
        self, method: str, key: str, *, where: Part, **params: object
    ) -> Iterator[list[Answer] | ChannelError]:
        """Yield the objects under `key`, page by page; after an error, which is yielded too, it ends."""
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            answer = self.read(method, where=where, cursor=cursor, **params)
            if isinstance(answer, ChannelError):
                yield answer
                return
            items = answer.get(key)
            if not isinstance(items, list):
                yield in_doubt_over(200, where=where)
                return
            yield [item for item in items if isinstance(item, Mapping)]
            found = object_of(answer, "response_metadata").get("next_cursor")
            cursor = found if isinstance(found, str) and found else None
            if cursor is None:
                return


def object_of(answer: Answer, key: str) -> Answer:
    """Return the object under `key` of an answer, or an empty one if it isn't an object."""
    return _object(answer.get(key))


def _given(params: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in params.items() if value is not None}


_SILENT = logging.getLogger(f"{__name__}.sdk")
_SILENT.setLevel(logging.CRITICAL + 1)


def _refused(refusal: SlackApiError, *, where: Part) -> ChannelError:
    response = refusal.response
    headers = {key.lower(): str(value) for key, value in response.headers.items()}
    if isinstance(response, AsyncSlackResponse):
        status, answer = response.status_code, _object(response.data)
    else:  # aiohttp's own response: the body isn't JSON
        status, answer = response.status, {}
    code = str(answer.get("error", ""))
    if status == 429:
        return rate_limited(headers.get("retry-after"), where=where)
    is_from_slack = code.replace("_", "").isalnum()
    if not is_from_slack and status in _NO_SUCH_METHOD:
        return slack_error("unknown_method", where=where)
    if status >= 500 or not is_from_slack:
        return in_doubt_over(status, where=where)
    return slack_error(code, where=where, needed=str(answer.get("needed", "")))


def _object(data: object) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else {}


_AUTH: Final = {
    "access_denied",
    "account_inactive",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "invalid_token",
    "missing_scope",
    "no_permission",
    "no_service",
    "no_team",
    "not_allowed_token_type",
    "not_authed",
    "org_login_required",
    "team_access_not_granted",
    "team_disabled",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
}
_NO_SUCH_DESTINATION: Final = {
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "is_archived",
    "not_in_channel",
    "posting_to_general_channel_denied",
    "restricted_action",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "user_not_found",
}
_MESSAGE_GONE: Final = {
    "cannot_reply_to_message",
    "cant_update_message",
    "message_not_found",
    "thread_not_found",
}
_NOT_EDITABLE: Final = {"edit_window_closed"}
_NOTHING_DONE: Final = {"request_timeout", "service_unavailable", "team_added_to_org"}
_IN_DOUBT: Final = {"fatal_error", "internal_error", "rollup_error"}
"""Slack's documentation: "it's possible some aspect of the operation succeeded before the error was raised"."""
_TOO_MUCH: Final = {
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_payload",
    "msg_blocks_too_long",
    "msg_too_long",
}

_ADVICE: Final = {
    "account_inactive": sentence("the bot's account is switched off; install the app again"),
    "channel_not_found": sentence(
        "the bot sees no channel of that name or id; it must be invited to a private one"
    ),
    "edit_window_closed": sentence(
        "the workspace lets messages be edited only for a time; its administrators can change that"
    ),
    "invalid_auth": sentence("the token is not valid; put the correct one into [slack]"),
    "is_archived": sentence("the channel is archived"),
    "missing_scope": sentence("the app lacks a scope; add it and install the app again"),
    "no_service": sentence("the webhook was removed; create a new one"),
    "not_in_channel": sentence("invite the bot: /invite @balancebot"),
    "token_revoked": sentence("the token was revoked; install the app again"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackError(ChannelError):
    """An error with Slack's own code."""

    code: str

    @property
    def is_about_blocks(self) -> bool:
        """Whether the blocks or the length are refused, so that plain text may be accepted."""
        return self.code in _TOO_MUCH


def slack_error(
    code: str, *, where: Part, needed: str = "", retry_after: timedelta | None = None
) -> SlackError:
    """Make the error for a code of Slack; `where` is the channel as configured, `needed` a missing scope."""
    answer = f"{code} ({needed})" if needed else code
    if code in _ADVICE:
        message = sentence(
            "Slack answers %(code)s for %(where)s: %(advice)s", code=answer, where=where, advice=_ADVICE[code]
        )
    else:
        message = sentence("Slack answers %(code)s for %(where)s", code=answer, where=where)
    return SlackError(
        code=code,
        kind=_kind(code),
        message=message,
        retry_after=retry_after,
    )


def _kind(code: str) -> ChannelErrorKind:
    if code in {"ratelimited", "rate_limited", "message_limit_exceeded"}:
        return ChannelErrorKind.RATE_LIMITED
    for codes, kind in (
        (_AUTH, ChannelErrorKind.AUTH),
        (_NO_SUCH_DESTINATION, ChannelErrorKind.NO_SUCH_DESTINATION),
        (_MESSAGE_GONE, ChannelErrorKind.MESSAGE_GONE),
        (_NOT_EDITABLE, ChannelErrorKind.NOT_EDITABLE),
        (_NOTHING_DONE, ChannelErrorKind.SERVER),
        (_IN_DOUBT, ChannelErrorKind.IN_DOUBT),
    ):
        if code in codes:
            return kind
    return ChannelErrorKind.REJECTED


def in_doubt_over(status: int, *, where: Part) -> ChannelError:
    """Make the error for an answer that isn't from Slack itself (a gateway, a 5xx): the request may have been done."""
    return ChannelError(
        kind=ChannelErrorKind.IN_DOUBT,
        message=sentence(
            "Slack answers HTTP %(status)s for %(where)s, which is not an answer of Slack itself",
            status=status,
            where=where,
        ),
    )


def rate_limited(retry_after: str | None, *, where: Part) -> ChannelError:
    """Make the error for status 429; `Retry-After` is in seconds."""
    return slack_error("ratelimited", where=where, retry_after=parse_retry_after(retry_after))
