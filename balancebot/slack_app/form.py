"""The form behind "Top-up ordered": a note, and by when the top-up is expected."""

import json
from datetime import datetime, timedelta
from typing import Any

from balancebot.settings import Language
from balancebot.slack_app.asked import EXPECTED, NOTE, TOP_UP_FORM, ReplyTo, Submission
from balancebot.slack_app.phrases import PHRASES

MAX_NOTE = 500
_USUAL_WAIT = timedelta(days=3)
"""What a purchase takes where nobody says otherwise."""
_LONGEST_WAIT = timedelta(days=90)


def top_up_form(alert_id: str, reply_to: ReplyTo, *, language: Language, now: datetime) -> dict[str, Any]:
    """Build the form for one alert; the time is chosen, and shown by Slack, in the person's own time zone."""
    say = PHRASES[language]
    usual = (now + _USUAL_WAIT).replace(minute=0, second=0, microsecond=0)
    return {
        "type": "modal",
        "callback_id": TOP_UP_FORM,
        "private_metadata": json.dumps({"alert": alert_id, "channel": reply_to.channel, "url": reply_to.url}),
        "title": _plain(say.form_title),
        "submit": _plain(say.form_submit),
        "close": _plain(say.form_close),
        "blocks": [
            {
                "type": "input",
                "block_id": EXPECTED,
                "label": _plain(say.form_expected),
                "hint": _plain(say.form_hint),
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
                "label": _plain(say.form_note),
                "element": {
                    "type": "plain_text_input",
                    "action_id": NOTE,
                    "max_length": MAX_NOTE,
                },
            },
        ],
    }


def fault_of(submission: Submission, *, language: Language, now: datetime) -> dict[str, Any] | None:
    """Return what Slack is to show beside the field that is wrong; None when the form can be taken."""
    say = PHRASES[language]
    if submission.expected is None or submission.expected <= now.timestamp():
        fault = say.form_past
    elif submission.expected > (now + _LONGEST_WAIT).timestamp():
        fault = say.form_far.format(days=_LONGEST_WAIT.days)
    else:
        return None
    return {"response_action": "errors", "errors": {EXPECTED: fault}}


def _plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}
