"""Responses that only one person sees: a list of balances, the explanation of a balance, and the top-up form."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from balancebot.config import Proxy, Settings
from balancebot.domain.alert import Alert
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.number_text import read_quantity
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.sentence import Sentence, did_you_mean, sentence
from balancebot.domain.verdict import urgency
from balancebot.estimates.context import ContextReader
from balancebot.explain.explain import explain, read_target
from balancebot.explain.render import Face, render
from balancebot.i18n import Wording, mark
from balancebot.network import post_json
from balancebot.notify.slack.api import SlackApi, in_doubt_over
from balancebot.notify.slack.blocks import Block, message
from balancebot.notify.slack.payloads import EXPECTED, NOTE, QUANTITY, TOP_UP_FORM, ReplyTo, Submission
from balancebot.overview.balances import BalanceView, overview
from balancebot.ports import ChannelError, ChannelErrorKind, Clock
from balancebot.store.database import Database
from balancebot.store.thresholds import ThresholdCache

MAX_NOTE = 500
_LONGEST_WAIT = timedelta(days=90)


def top_up_form(
    alert_id: str, reply_to: ReplyTo, *, lead_time: timedelta, words: Wording, now: datetime
) -> dict[str, Any]:
    """Build the form for one alert, which proposes a working day. Slack shows its time in the person's own time zone."""
    hour = words.local(now).time().replace(minute=0, second=0, microsecond=0)
    usual = datetime.combine(words.arrives_on(now, lead_time), hour, words.zone)
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
                "block_id": QUANTITY,
                "optional": True,
                "label": _plain(words.gettext("Messages ordered")),
                "hint": _plain(words.gettext("Records an order; what arrives is matched to it.")),
                "element": {
                    "type": "plain_text_input",
                    "action_id": QUANTITY,
                    "max_length": 40,
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
    """Return the response that shows an error at a field of the form; None if the form is valid."""
    quantity = read_quantity(submission.quantity) if submission.quantity else 1
    if isinstance(quantity, Sentence) or quantity < 1:
        fault = words.gettext("Write a number such as 60,000, 60k or 6万.")
        return {"response_action": "errors", "errors": {QUANTITY: fault}}
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
    """The calls of Slack's API that the listener makes."""

    def __init__(self, *, bot_token: str, app_token: str, api_url: str, proxy: Proxy | None) -> None:
        self._bot = SlackApi(token=bot_token, api_url=api_url, proxy=proxy, timeout=_TIMEOUT)
        self._app = SlackApi(token=app_token, api_url=api_url, proxy=proxy, timeout=_TIMEOUT)
        self._proxy = proxy

    def open_url(self) -> str | ChannelError:
        """Request the URL of a new socket."""
        return self._app.open_socket()

    def members(self, group: str) -> frozenset[str] | ChannelError:
        """Fetch the ids of a user group's members."""
        answer = self._bot.read("usergroups.users.list", where=group, usergroup=group)
        if isinstance(answer, ChannelError):
            return answer
        users = answer.get("users")
        return frozenset(map(str, users)) if isinstance(users, list) else in_doubt_over(200, where=group)

    def team(self) -> str | ChannelError:
        """Fetch the id of the bot's own workspace; '' if the answer has none."""
        answer = self._bot.read("auth.test", where="the bot token")
        return answer if isinstance(answer, ChannelError) else str(answer.get("team_id") or "")

    def profile(self, user: str) -> Mapping[str, Any] | ChannelError:
        """Fetch a user's profile: their workspace, and whether they are a guest."""
        answer = self._bot.read("users.info", where=user, user=user)
        if isinstance(answer, ChannelError):
            return answer
        profile = answer.get("user")
        return profile if isinstance(profile, Mapping) else in_doubt_over(200, where=user)

    def open_form(self, trigger: str, form: Mapping[str, Any]) -> ChannelError | None:
        """Open a form for the person who clicked."""
        answer = self._bot.write("views.open", where=sentence("the form"), trigger_id=trigger, view=form)
        return answer if isinstance(answer, ChannelError) else None

    def reply_privately(self, to: ReplyTo, text: str, buttons: Sequence[Block] = ()) -> None:
        """Answer one person with text in Slack's markup, and buttons. A failure is logged."""
        shown = message(text, extra=buttons)
        body = {"text": shown.text, "blocks": list(shown.blocks)}
        error = self._post_to_url(to.url, body) if to.url else None
        if to.channel and (error is not None or not to.url):
            answer = self._bot.write(
                "chat.postEphemeral", where=to.channel, channel=to.channel, user=to.person, **body
            )
            error = answer if isinstance(answer, ChannelError) else None
        if error is not None:
            log.warning("slack.unanswered", extra={"error": str(error.message)})

    def _post_to_url(self, url: str, body: Mapping[str, Any]) -> ChannelError | None:
        response = {**body, "response_type": "ephemeral", "replace_original": False}
        answer = post_json(url, response, service="Slack", proxy=self._proxy, within=_TIMEOUT)
        if isinstance(answer, ChannelError) or answer.status == 200:
            return answer if isinstance(answer, ChannelError) else None
        return ChannelError(
            kind=ChannelErrorKind.IN_DOUBT,
            message=sentence("%(host)s answers %(said)s", host="Slack", said=f"HTTP {answer.status}"),
        )


def escaped(text: str) -> str:
    """Escape text for Slack's markup, on one line."""
    plain = " ".join(text.split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_SHOWN = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackQueries:
    """Answers questions from the database, in Slack's markup."""

    database: Database
    clock: Clock
    settings: Callable[[], Settings]
    thresholds: ThresholdCache
    figures: ContextReader
    words: Wording

    def listed(self, text: str) -> str:
        """List the balances that match a pattern, or whose name contains the text, worst first."""
        views = self._views()
        pattern = Pattern.parse(text or "*")
        wanted = (
            [view for view in views if pattern.matches(*view.key)] if isinstance(pattern, Pattern) else []
        )
        if text and not wanted:
            wanted = [view for view in views if text.casefold() in str(view.key).casefold()]
        if not wanted:
            hint = did_you_mean(text, (view.key.wallet for view in views))
            return escaped(
                self.words.translate(
                    sentence("No balance matches %(pattern)s%(hint)s", pattern=text, hint=hint)
                )
            )
        lines = [self._line(view) for view in sorted(wanted, key=_urgency)]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [
                self.words.gettext(
                    "… and %(count)s more: narrow it down with a pattern such as `/balance acme/*:market`.",
                    count=self.words.number(len(lines) - _SHOWN),
                )
            ]
        return "\n".join(lines)

    def matches_any(self, pattern: Pattern | Patterns) -> bool:
        """Return whether a pattern matches a configured wallet, or a balance of one."""
        kinds = (None, *Category)
        return any(pattern.matches(wallet, kind) for wallet in self.settings().wallets for kind in kinds)

    def lead_time(self, wallet: WalletName, category: Category) -> timedelta:
        """Return how long a purchase for a balance takes, at most as long as the form allows."""
        with self.database.read() as conn:
            limits = self.thresholds.book(conn).effective(wallet, category)
        return min(timedelta(days=limits.lead_time_days), _LONGEST_WAIT / 2)

    def why(self, text: str) -> str:
        """Explain the state of a balance or a wallet."""
        with self.database.read() as conn:
            asked = read_target(conn, text, configured=self.settings().wallets)
            if isinstance(asked, Sentence):
                return escaped(self.words.translate(asked))
            return self._explained(conn, *asked)

    def why_alert(self, alert: Alert) -> str:
        """Explain the state of the balance or wallet that an alert is about."""
        with self.database.read() as conn:
            return self._explained(conn, alert.subject.wallet, alert.subject.category)

    def _explained(self, conn: Connection, wallet: WalletName, category: Category | None) -> str:
        explanation = explain(
            conn,
            wallet,
            category,
            settings=self.settings(),
            book=self.thresholds.book(conn),
            figures=self.figures,
            now=self.clock.now(),
        )
        return render(explanation, self.words, Face.SLACK)

    def _views(self) -> list[BalanceView]:
        settings = self.settings()
        with self.database.read() as conn:
            views = overview(
                conn,
                book=self.thresholds.book(conn),
                stale_after=settings.poll.stale_after,
                now=self.clock.now(),
                names=settings.wallets,
            )
        return [view for view in views if view.reading is not Absent.UNALLOCATED]

    def _line(self, view: BalanceView) -> str:
        parts = [f"*{escaped(str(view.key))}*", self.words.reading(view.reading)]
        if isinstance(view.reading, int) and view.reading > 0 and view.estimate.runway is not None:
            parts.append(self.words.runway(view.estimate.runway))
        return f"{mark(view.severity)} {' · '.join(parts)}"


def _urgency(view: BalanceView) -> tuple[int, float, BalanceKey]:
    return *urgency(view.severity, view.estimate.runway), view.key
