"""Messages for tests from keyword arguments: each goes to the part of the message that has this field."""

from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from balancebot.domain.alert import Alert, AlertKind, AlertSubject
from balancebot.domain.balance import WalletName
from balancebot.domain.message import AlertMessage, Measurement, MessageContext
from balancebot.domain.verdict import Severity

_FIELDS = {
    kind: {field.name for field in fields(kind)}
    for kind in (AlertSubject, Alert, Measurement, MessageContext)
}


def alert_message(opened_at: datetime, **changes: Any) -> AlertMessage:
    """Return the message of a critical alert of `acme` that opened at `opened_at`, with `changes`."""
    subject = AlertSubject(kind=AlertKind.LOW_BALANCE, wallet=WalletName("acme"))
    alert = Alert(
        id=17, subject=subject, severity=Severity.CRITICAL, peak=Severity.CRITICAL, opened_at=opened_at
    )
    return changed(AlertMessage(alert=alert, measurement=Measurement(at=opened_at), at=opened_at), **changes)


def changed(message: AlertMessage, **changes: Any) -> AlertMessage:
    """Return `message` with changed fields of the message, its alert, subject, measurement or context."""

    def of(kind: type) -> dict[str, Any]:
        return {name: changes.pop(name) for name in list(changes) if name in _FIELDS[kind]}

    at = {"at": changes.pop("at")} if "at" in changes else {}
    subject = replace(message.alert.subject, **of(AlertSubject))
    return replace(
        message,
        alert=replace(message.alert, subject=subject, **of(Alert)),
        measurement=replace(message.measurement, **of(Measurement)),
        context=replace(message.context, **of(MessageContext)),
        **at,
        **changes,
    )
