"""JSON to an address of one's own, signed as the Standard Webhooks specification says.

`webhook-id` is the delivery's, the same at each attempt: a receiver that remembers it takes no message twice.
"""

import math
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any, Final

from balancebot.domain.message import (
    AlertMessage,
    ChannelFailureMessage,
    DigestMessage,
    GroupMessage,
    Message,
    OutgoingMessage,
    TestMessage,
)
from balancebot.domain.sentence import in_english
from balancebot.notify.posting import Post, PostingChannel, as_json, content_of, signed
from balancebot.notify.render import Renderer

_PREFIX: Final = "whsec_"
_HOURS_PER_DAY: Final = 24.0


class WebhookChannel(PostingChannel):
    """One address."""

    def _post_of(self, outgoing: OutgoingMessage, now: datetime) -> Post:
        body = as_json(_document(outgoing, self._renderer))
        timestamp = str(int(now.timestamp()))
        headers = {"webhook-id": outgoing.delivery_id, "webhook-timestamp": timestamp}
        if self._secret:
            key = (
                b64decode(self._secret.removeprefix(_PREFIX))
                if self._secret.startswith(_PREFIX)
                else self._secret.encode()
            )
            signature = signed(key, f"{outgoing.delivery_id}.{timestamp}.".encode() + body)
            headers["webhook-signature"] = f"v1,{signature}"
        return Post(url=self._url, body=body, headers=headers)


def _document(outgoing: OutgoingMessage, renderer: Renderer) -> dict[str, object]:
    content = content_of(outgoing, renderer)
    said = {"title": content.title, "text": content.text, "link": content.link or None}
    message = outgoing.message
    return {
        "type": f"balancebot.{_type_of(message)}",
        "timestamp": _instant(outgoing.created_at),
        "data": {**_data_of(message), **said},
    }


def _type_of(message: Message) -> str:
    match message:
        case AlertMessage():
            return f"alert.{message.reason.value if message.reason else 'edited'}"
        case GroupMessage():
            return "alerts.opened"
        case DigestMessage():
            return "digest"
        case TestMessage():
            return "test"
        case ChannelFailureMessage():
            return "channel.refused"


def _data_of(message: Message) -> dict[str, Any]:
    match message:
        case AlertMessage():
            return _alert(message)
        case GroupMessage():
            return {"alerts": [_alert(member) for member in message.members], "new": list(message.new)}
        case DigestMessage():
            return {"name": message.name, "slot": message.slot}
        case ChannelFailureMessage():
            return {
                "channel": message.channel,
                "destination": message.destination,
                "error": in_english(message.message),
            }
        case TestMessage():
            return {}


def _alert(message: AlertMessage) -> dict[str, Any]:
    alert, measured, context = message.alert, message.measurement, message.context
    runway = measured.runway
    balance = measured.reading if isinstance(measured.reading, int) else None
    return {
        "id": message.alert_id,
        "kind": alert.subject.kind.value,
        "wallet": alert.subject.wallet,
        "category": None if alert.subject.category is None else alert.subject.category.value,
        "severity": alert.severity.word,
        "opened_at": _instant(alert.opened_at),
        "closed_at": _instant(alert.closed_at),
        "closed_because": None if alert.closed_because is None else alert.closed_because.value,
        "acknowledged_by": alert.acknowledged_by or None,
        "silenced_until": _instant(context.silenced_until),
        "expected_top_up_at": _instant(alert.expects_by),
        "balance": balance,
        "observed_at": _instant(measured.observed_at),
        "burn_per_day": measured.burn_per_day,
        "runway_days": None
        if runway is None
        else {
            "p10": _days(runway.p10),
            "p50": _days(runway.p50),
            "p90": _days(runway.p90),
            "judged": _days(runway.judged),
        },
        "depletes_at": _instant(measured.depletes_at),
        "note": context.note or None,
    }


def _days(hours: float) -> float | None:
    return round(hours / _HOURS_PER_DAY, 3) if math.isfinite(hours) else None


def _instant(at: datetime | None) -> str | None:
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
