"""JSON to an address of one's own, signed as the Standard Webhooks specification says.

`webhook-id` is the delivery's, the same at each attempt: a receiver that remembers it takes no message twice.
"""

import math
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any, Final

from balancebot.domain.message import (
    AlertFacts,
    ChannelFailureFacts,
    DigestFacts,
    Facts,
    GroupFacts,
    OutgoingMessage,
    TestFacts,
)
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
    facts = outgoing.facts
    return {
        "type": f"balancebot.{_type_of(facts)}",
        "timestamp": _instant(outgoing.created_at),
        "data": {**_data_of(facts), **said},
    }


def _type_of(facts: Facts) -> str:
    match facts:
        case AlertFacts():
            return f"alert.{facts.reason.value if facts.reason else 'edited'}"
        case GroupFacts():
            return "alerts.opened"
        case DigestFacts():
            return "digest"
        case TestFacts():
            return "test"
        case ChannelFailureFacts():
            return "channel.refused"


def _data_of(facts: Facts) -> dict[str, Any]:
    match facts:
        case AlertFacts():
            return _alert(facts)
        case GroupFacts():
            return {"alerts": [_alert(member) for member in facts.members], "new": list(facts.new)}
        case DigestFacts():
            return {"name": facts.name, "slot": facts.slot}
        case ChannelFailureFacts():
            return {"channel": facts.channel, "destination": facts.destination, "error": facts.message}
        case TestFacts():
            return {}


def _alert(facts: AlertFacts) -> dict[str, Any]:
    runway = facts.runway
    balance = facts.reading if isinstance(facts.reading, int) else None
    return {
        "id": facts.alert_id,
        "kind": facts.kind.value,
        "wallet": facts.wallet,
        "category": None if facts.category is None else facts.category.value,
        "severity": facts.severity.word,
        "opened_at": _instant(facts.opened_at),
        "closed_at": _instant(facts.closed_at),
        "closed_because": None if facts.cause is None else facts.cause.value,
        "acknowledged_by": facts.acknowledged_by or None,
        "silenced_until": _instant(facts.silenced_until),
        "expected_top_up_at": _instant(facts.expects_by),
        "balance": balance,
        "observed_at": _instant(facts.observed_at),
        "burn_per_day": facts.burn_per_day,
        "runway_days": None
        if runway is None
        else {
            "p10": _days(runway.p10),
            "p50": _days(runway.p50),
            "p90": _days(runway.p90),
            "judged": _days(runway.judged),
        },
        "depletes_at": _instant(facts.depletes_at),
        "note": facts.note or None,
    }


def _days(hours: float) -> float | None:
    return round(hours / _HOURS_PER_DAY, 3) if math.isfinite(hours) else None


def _instant(at: datetime | None) -> str | None:
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
