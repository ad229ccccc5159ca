"""What Slack's error codes mean for a delivery, and what a person can do about them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from balancebot.ports import ChannelError, ChannelErrorKind

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
_NOTHING_DONE: Final = {"request_timeout", "service_unavailable", "team_added_to_org"}
_IN_DOUBT: Final = {"fatal_error", "internal_error", "rollup_error"}
"""Slack's own words: "it's possible some aspect of the operation succeeded before the error was raised"."""
_TOO_MUCH: Final = {
    "invalid_attachments",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_payload",
    "msg_blocks_too_long",
    "msg_too_long",
}

_ADVICE: Final = {
    "account_inactive": "the bot's account is switched off; install the app again",
    "channel_not_found": "no channel of that name or id that the bot can see; a private one must invite it",
    "invalid_auth": "the token is not valid; put the right one into [slack]",
    "is_archived": "the channel is archived",
    "missing_scope": "the app lacks a scope; add it and install the app again",
    "no_service": "the webhook was removed; make a new one",
    "not_in_channel": "invite the bot there: /invite @balancebot",
    "token_revoked": "the token was revoked; install the app again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackError(ChannelError):
    """An error in Slack's own words."""

    code: str

    @property
    def of_look(self) -> bool:
        """Whether it is the look that is refused: the same words without blocks may pass."""
        return self.code in _TOO_MUCH


def slack_error(
    code: str, *, where: str, needed: str = "", retry_after: timedelta | None = None
) -> SlackError:
    """Class an error code of Slack's; `where` is the channel as it was configured, `needed` a missing scope."""
    advice = _ADVICE.get(code, "")
    scope = f" ({needed})" if needed else ""
    return SlackError(
        code=code,
        kind=_kind(code),
        message=f"Slack answers {code}{scope} for {where}{': ' if advice else ''}{advice}",
        retry_after=retry_after,
    )


def _kind(code: str) -> ChannelErrorKind:
    if code in {"ratelimited", "rate_limited", "message_limit_exceeded"}:
        return ChannelErrorKind.RATE_LIMITED
    for codes, kind in (
        (_AUTH, ChannelErrorKind.AUTH),
        (_NO_SUCH_DESTINATION, ChannelErrorKind.NO_SUCH_DESTINATION),
        (_MESSAGE_GONE, ChannelErrorKind.MESSAGE_GONE),
        (_NOTHING_DONE, ChannelErrorKind.SERVER),
        (_IN_DOUBT, ChannelErrorKind.IN_DOUBT),
    ):
        if code in codes:
            return kind
    return ChannelErrorKind.REJECTED


def in_doubt_over(status: int, *, where: str) -> ChannelError:
    """Class an answer that isn't Slack's own: a gateway's page, a 5xx; the request behind it may have been done."""
    return ChannelError(
        kind=ChannelErrorKind.IN_DOUBT,
        message=f"Slack answers HTTP {status} for {where}, and not in its own words",
    )


def rate_limited(retry_after: str | None, *, where: str) -> ChannelError:
    """Class a 429; `Retry-After` is in seconds."""
    seconds = int(retry_after) if retry_after and retry_after.isdecimal() else 1
    return slack_error("ratelimited", where=where, retry_after=timedelta(seconds=seconds))
