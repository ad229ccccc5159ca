"""`check` remarks on odd configurations, which are valid all the same."""

from pathlib import Path

from balancebot.config import Settings, load, remarks

ACCOUNT = """
[[accounts]]
name = "acme"
dev_key = "k"
dev_secret = "s"
"""


def remarks_on(tmp_path: Path, text: str, *, resolve_secrets: bool = True) -> list[str]:
    path = tmp_path / "b.toml"
    path.write_text(text)
    settings = load(path, environ={}, resolve_secrets=resolve_secrets)
    assert isinstance(settings, Settings)
    return [str(remark).removeprefix(f"{path}: ") for remark in remarks(settings)]


def test_destinations_of_an_unconfigured_channel_are_remarked_on(tmp_path: Path) -> None:
    text = (
        ACCOUNT
        + """
    [[routes]]
    match = "*"
    slack = ["#ops"]
    email = []
    [[digests]]
    name = "d"
    cron = "0 9 * * *"
    to = ["a@example.com"]
    """
    )
    assert [
        "routes[0].slack: sends nothing: there is no [slack]",
        "digests[0].to: sends nothing: there is no [email]",
        "alerts that no route matches are sent nowhere: no [slack], no [email].to, no channel with default = true",
    ] == remarks_on(tmp_path, text)


COPIED = """
[slack]
webhook_url = "https://hooks.example.com/x"
[[accounts]]
name = "acme"
dev_key = "k"
dev_secret = "s"
[[accounts.apps]]
name = "checkout"
app_key = "a"
master_secret = "m"
[[accounts.apps]]
name = "signup"
app_key = "a"
master_secret = "m"
"""


def test_one_key_under_two_names_is_remarked_on_without_showing_it(tmp_path: Path) -> None:
    assert ["accounts: the same key reads acme/checkout, acme/signup: is one of them a copy?"] == remarks_on(
        tmp_path, COPIED
    )


def test_without_secrets_keys_are_not_compared(tmp_path: Path) -> None:
    assert [] == remarks_on(tmp_path, COPIED, resolve_secrets=False)


IN_THE_CLEAR = """
[slack]
webhook_url = "http://hooks.example.com/x"
[email]
host = "mail.example.com"
security = "none"
username = "bot"
password = "secret"
from = "a@example.com"
to = ["a@example.com"]
[heartbeat]
url = "http://hc.example.com/ping"
[web]
public_url = "http://balances.example.com"
[[channels]]
name = "hook"
kind = "webhook"
url = "http://hook.example.com/x"
[[accounts]]
name = "acme"
base_url = "http://sms.example.com"
dev_key = "k"
dev_secret = "s"
"""


def test_check_remarks_on_secrets_sent_unencrypted_over_a_network(tmp_path: Path) -> None:
    plain = "is plain http: others on the network can read the secrets in it; write https://"
    keys = [
        "accounts[0].base_url",
        "slack.webhook_url",
        "channels hook.url",
        "heartbeat.url",
        "web.public_url",
    ]
    assert [
        *(f"{key}: {plain}" for key in keys),
        'email.security: is "none": the password goes over the line unencrypted',
    ] == remarks_on(tmp_path, IN_THE_CLEAR)
    here = IN_THE_CLEAR.replace("mail.example.com", "localhost")
    for name in ("hooks", "hc", "balances", "hook", "sms"):
        here = here.replace(f"http://{name}.example.com", "http://127.0.0.1:8000")
    assert [] == remarks_on(tmp_path, here)


def test_links_to_the_unspecified_address_are_remarked_on(tmp_path: Path) -> None:
    text = (
        ACCOUNT
        + """
    [slack]
    webhook_url = "https://hooks.example.com/x"
    channel = "#ops"
    [web]
    listen = "0.0.0.0:8080"
    """
    )
    missing = "web.public_url: is missing: links in messages lead to http://0.0.0.0:8080, which no other machine can open"
    assert [missing] == remarks_on(tmp_path, text)
    assert [] == remarks_on(tmp_path, f'{text}\npublic_url = "https://balances.example.com"\n')
