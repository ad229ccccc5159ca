"""The receiver shown in docs/channels/webhook.md accepts our signatures and no others."""

import re
from datetime import timedelta
from http.server import HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from balancebot.clock import SystemClock
from balancebot.domain.message import MessageRef
from balancebot.notify.render import Renderer
from balancebot.notify.webhook.channel import WebhookChannel
from balancebot.ports import ChannelError, ChannelErrorKind
from tests.notify.examples import CRITICAL, outgoing
from tests.outbox_bench import HandClock

PAGE = Path(__file__).parents[2] / "docs" / "channels" / "webhook.md"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


def documented() -> list[str]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(code).splitlines()


def test_the_documented_receiver_has_fifteen_lines_and_verifies(renderer: Renderer, capsys: Any) -> None:
    *lines, serves = documented()
    assert (15, True) == (len([line for line in lines if line]) + 1, serves.endswith("serve_forever()"))
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    names["Receiver"].log_message = lambda *_: None
    with HTTPServer(("127.0.0.1", 0), names["Receiver"]) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"

        def send(secret: str, clock: Any) -> MessageRef | ChannelError:
            channel = WebhookChannel("ops", url=url, secret=secret, renderer=renderer, clock=clock)
            return channel.send(outgoing(CRITICAL), holds_claim=lambda: True)

        answers = [
            send(SECRET, SystemClock()),
            send("another key", SystemClock()),
            send(SECRET, HandClock(SystemClock().now() - timedelta(hours=1))),
        ]
        server.shutdown()
        thread.join()

    taken, *refused = answers
    assert isinstance(taken, MessageRef)
    assert [ChannelErrorKind.AUTH] * 2 == [error.kind for error in refused if isinstance(error, ChannelError)]
    assert ["d1 balancebot.alert.opened", "d1 refused", "d1 refused"] == capsys.readouterr().out.splitlines()
