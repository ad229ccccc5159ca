"""A small company with every service that the bot uses, on loopback: JSMS, a Slack workspace and a mail server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from balancebot.clock import SystemClock
from balancebot.domain.balance import Category, WalletName
from balancebot.jsms.simulator import Scenario, Simulator, simulated_wallet
from tests.standins.slack_api import SlackStandIn
from tests.standins.smtp import SmtpStandIn

CHECKOUT = WalletName("acme/checkout")
INDUSTRY = Category.INDUSTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Firm:
    """The services that the bot uses, and its configuration."""

    jsms: Simulator
    slack: SlackStandIn
    mail: SmtpStandIn
    config: Path

    def has(self, balance: int, wallet: WalletName = CHECKOUT) -> None:
        """Set a wallet's industry balance in JSMS."""
        self.jsms.set(wallet, INDUSTRY, balance)

    def listens(self, toml: str = "") -> None:
        """Add the app token and `toml` to `[slack]`, so that the bot handles buttons and /balance."""
        text = self.config.read_text()
        more = f'app_token = "{self.slack.app_token}"\n{toml}'
        self.config.write_text(text.replace("[slack]\n", f"[slack]\n{more}", 1))

    def also(self, toml: str) -> None:
        """Append `toml` to the configuration."""
        self.config.write_text(self.config.read_text() + toml)


@contextmanager
def a_firm(folder: Path) -> Iterator[Firm]:
    """Run the services with a configuration in `folder`: acme's shared pool, and checkout with 100,000 industry messages."""
    scenario = Scenario(
        wallets=(
            simulated_wallet("acme", industry=50_000, market=9_000),
            simulated_wallet("acme", "checkout", industry=100_000),
        )
    )
    with (
        Simulator(scenario, clock=SystemClock()) as jsms,
        SlackStandIn() as slack,
        SmtpStandIn() as mail,
    ):
        slack.add_channel("ops-alerts")
        pool, checkout = jsms.scenario.wallets
        config = folder / "balancebot.toml"
        config.touch(0o600)
        config.write_text(
            f"""\
[poll]
every = "1s"
fastest = "1s"
timeout = "2s"
stale_after = "30s"
[slack]
bot_token = "{slack.token}"
channel = "#ops-alerts"
api_url = "{slack.api_url}"
[email]
host = "{mail.host}"
port = {mail.port}
security = "none"
from = "SMS balances <balances@example.com>"
to = ["finance@example.com"]
[[accounts]]
name = "acme"
base_url = "{jsms.url}"
dev_key = "{pool.key}"
dev_secret = "{pool.secret}"
apps = [{{ name = "checkout", app_key = "{checkout.key}", master_secret = "{checkout.secret}" }}]
"""
        )
        yield Firm(jsms=jsms, slack=slack, mail=mail, config=config)
