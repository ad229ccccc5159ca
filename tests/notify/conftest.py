"""A Slack workspace, a mail server, and the renderer in English."""

from collections.abc import Iterator

import pytest

from balancebot.i18n import Wording
from balancebot.notify.render import Renderer
from tests.standins.slack_api import SlackStandIn
from tests.standins.smtp import SmtpStandIn


@pytest.fixture
def slack() -> Iterator[SlackStandIn]:
    with SlackStandIn() as workspace:
        yield workspace


@pytest.fixture
def smtp() -> Iterator[SmtpStandIn]:
    with SmtpStandIn() as server:
        yield server


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be updated."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(words=Wording(language="en"), public_url="https://balances.example.com")
