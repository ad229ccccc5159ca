"""The form is valid in Slack: checked by the SDK's models, in both languages."""

from datetime import timedelta

import pytest
from slack_sdk.models.views import View

from balancebot.config import LANGUAGES
from balancebot.i18n import Wording
from balancebot.notify.slack.payloads import ReplyTo
from balancebot.notify.slack.responses import top_up_form
from tests.world import NOON


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_is_valid(language: str) -> None:
    reply_to = ReplyTo(
        person="U000ONCALL", channel="C00000000", url="https://hooks.slack.com/actions/" + "x" * 200
    )
    form = top_up_form(
        "17", reply_to, lead_time=timedelta(days=3), words=Wording(language=language), now=NOON
    )

    View(**form).validate_json()
    assert all(len(form[part]["text"]) <= 24 for part in ("title", "submit", "close"))
    assert len(form["private_metadata"]) <= 3000
