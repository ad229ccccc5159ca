"""Turn a digest into plain values for templates, as `views` does for all other messages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from math import isfinite

from balancebot.catalogue import number
from balancebot.domain.alert import AlertKind
from balancebot.domain.balance import Absent, BalanceKey, Category, WalletName
from balancebot.domain.message import AlertMessage, DigestLine, DigestMessage
from balancebot.domain.order import Order, OrderState, purchases
from balancebot.domain.runway import PlannedUse
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording, mark
from balancebot.notify.views import LONGEST_PLAN, View, alert_view, one_line, wallet_link

MAX_LINES = 30
"""How many balances a digest lists. With more, Gmail would cut the mail (at 102 kB)."""
MAX_NEEDING = 36
"""How many balances that need attention it lists if they are many; then healthy ones are only counted."""
MAX_ITEMS = 12
"""How many items each other part lists."""
_WELL = frozenset({"quota_moved", "recovered", "without_limits", "planned"})
"""The parts that need no attention."""
_MANY_TIMES = 11.0
"""A usage rate that has grown more than this is shown as a factor, not in percent."""
_NO_USE = 1e-6
"""In messages a day. A decaying average never becomes 0, and a percentage of less than this has no meaning."""


def digest_view(digest: DigestMessage, words: Wording, *, public_url: str) -> View:
    """Return the values of a digest, in the order of its lines (worst first); `more` counts what each part leaves out.

    If balances that need attention don't all fit, healthy ones aren't listed. Balances that were never read have no
    line: a wallet with only such balances is listed once. A line includes the open alert of its balance, which isn't
    listed again.
    """
    lines = [line for line in digest.lines if line.reading is not Absent.UNREAD]
    read = {line.wallet for line in lines}
    unread = list(dict.fromkeys(line.wallet for line in digest.lines if line.wallet not in read))
    num_needing = sum(line.severity is not Severity.OK for line in lines)
    is_crowded = num_needing > MAX_LINES
    shown = lines[: min(num_needing, MAX_NEEDING) if is_crowded else MAX_LINES]
    say_alert = partial(_alert_view, words=words, public_url=public_url)
    alerts = {
        balance: alert
        for alert in digest.open_alerts
        if alert.alert.subject.kind is AlertKind.LOW_BALANCE
        and (balance := alert.alert.subject.balance) is not None
    }
    say_line = partial(_line_view, digest=digest, words=words, public_url=public_url, alerts=alerts)
    in_lines = {BalanceKey(line.wallet, line.category) for line in shown} & set(alerts)
    parts: dict[str, list[Callable[[], object]]] = {
        "changes": [partial(say_line, line) for line in lines if _has_changed(line)],
        "quota_moved": [partial(say_line, line) for line in lines if line.topped_up or line.transferred],
        "without_limits": [partial(say_line, line) for line in lines if not line.limits_set],
        "stopped": [partial(say_line, line) for line in lines if line.stopped],
        "alerts": [
            partial(say_alert, alert)
            for alert in digest.open_alerts
            if alert.alert.subject.balance not in in_lines
            or alert.alert.subject.kind is not AlertKind.LOW_BALANCE
        ],
        "orders": [
            partial(_order_view, order, at=digest.at, words=words)
            for order in digest.orders
            if not is_crowded or order.state(digest.at) is OrderState.OVERDUE
        ],
        "recovered": [partial(say_alert, alert) for alert in digest.recovered],
        "silences": [partial(_silence_view, *silence, words=words) for silence in digest.silences],
        "planned": [partial(_planned_view, *planned, words=words) for planned in digest.planned],
        "unread": [partial(str, wallet) for wallet in unread],
    }
    most = {name: 0 if is_crowded and name in _WELL else MAX_ITEMS for name in parts}
    return {
        "name": digest.name,
        "at": words.when(digest.at),
        "date": words.day(digest.at),
        "since": words.when(digest.since) if digest.since else "",
        "late": digest.late,
        "slot": digest.slot.replace("T", " "),
        "num_lines": len(lines),
        "num_bad": sum(line.severity >= Severity.WARNING for line in lines),
        "num_unknown": sum(line.severity is Severity.UNKNOWN for line in lines),
        "counts": [
            {
                "severity": severity.word,
                "mark": mark(severity),
                "word": words.severity(severity),
                "count": number(count),
            }
            for severity in sorted(Severity, reverse=True)
            if (count := sum(line.severity == severity for line in lines))
        ],
        "lines": [say_line(line) for line in shown],
        **{name: [say() for say in items[: most[name]]] for name, items in parts.items()},
        "more": {
            "lines": len(lines) - len(shown),
            **{name: max(0, len(items) - most[name]) for name, items in parts.items()},
        },
        "muted": asdict(digest.muted) if digest.muted.any else {},
        "advice_total": words.order_total(_to_order(digest), order_by=_first_order(lines), now=digest.at),
        "link": public_url,
    }


def _has_changed(line: DigestLine) -> bool:
    return line.severity_before not in {None, line.severity}


def _silence_view(pattern: str, until: datetime, reason: str, *, words: Wording) -> View:
    return {"pattern": pattern, "until": words.when(until), "reason": one_line(reason)}


def _planned_view(wallet: WalletName, category: Category, planned: PlannedUse, *, words: Wording) -> View:
    return {
        "wallet": wallet,
        "category_word": words.category(category),
        "messages": words.messages(planned.messages),
        "from": words.when(planned.starts_at),
        "until": words.when(planned.ends_at),
        "note": one_line(planned.note, at_most=LONGEST_PLAN),
    }


def _alert_view(message: AlertMessage, *, words: Wording, public_url: str) -> View:
    """Return the values of an open alert, with its note shortened for a list."""
    view = alert_view(message, words, public_url=public_url)
    return view | {"note": one_line(message.context.note, at_most=LONGEST_PLAN)}


def _order_view(order: Order, *, at: datetime, words: Wording) -> View:
    return {
        "wallet": order.wallet,
        "category_word": words.category(order.category),
        "messages": words.messages(order.quantity),
        "arrived": number(order.arrived) if order.arrived else "",
        "who": one_line(order.ordered_by),
        "ordered": words.day(order.ordered_at),
        "expected": words.day(order.expected_at),
        "overdue": order.state(at) is OrderState.OVERDUE,
        "reference": one_line(order.reference, at_most=LONGEST_PLAN),
    }


def _line_view(
    line: DigestLine,
    *,
    digest: DigestMessage,
    words: Wording,
    public_url: str,
    alerts: Mapping[BalanceKey, AlertMessage],
) -> View:
    before = line.severity_before
    alert = alerts.get(BalanceKey(line.wallet, line.category))
    return {
        "wallet": line.wallet,
        "category_word": words.category(line.category),
        "severity": line.severity.word,
        "severity_word": words.severity(line.severity),
        "before_word": "" if before is None else words.severity(before),
        "mark": mark(line.severity),
        "balance": words.cell(line.reading),
        "known": isinstance(line.reading, int),
        "stale": line.stale,
        "observed_at": words.when(line.observed_at) if line.observed_at else "",
        "burn": "—" if line.burn_per_day is None else number(line.burn_per_day),
        "burn_change": _change(line.burn_week, line.burn_week_before, words),
        "runway": "—" if line.runway is None else words.duration(line.runway.p50),
        "runway_range": "—" if line.runway is None else words.runway(line.runway),
        "runway_between": words.runway_between(line.runway),
        "empty_at": words.expected(line.depletes_at, now=digest.at) if line.depletes_at else "",
        "topped_up": number(line.topped_up) if line.topped_up else "",
        "moved_in": number(line.transferred) if line.transferred > 0 else "",
        "moved_out": number(-line.transferred) if line.transferred < 0 else "",
        "used": number(line.used),
        "advice": words.order(line.advice, line.category, now=digest.at),
        "note": one_line(line.note, at_most=LONGEST_PLAN),
        "alert": _alert_view(alert, words=words, public_url=public_url) if alert else {},
        "link": wallet_link(public_url, line.wallet),
    }


def _to_order(digest: DigestMessage) -> dict[Category, int]:
    """Add up how much to order of each category, in whole packages per account."""
    advice = {
        BalanceKey(line.wallet, line.category): (line.advice, timedelta(0))
        for line in digest.lines
        if line.advice is not None
    }
    messages: dict[Category, int] = {}
    for purchase in purchases(advice, digest.package_sizes):
        messages[purchase.category] = messages.get(purchase.category, 0) + purchase.messages
    return messages


def _first_order(lines: Iterable[DigestLine]) -> datetime | None:
    """Return when the first purchase is due; moving quota from the shared pool isn't a purchase."""
    due = (
        line.advice.order_by
        for line in lines
        if line.advice and line.advice.messages and line.advice.order_by
    )
    return min(due, default=None)


def _change(now: float | None, before: float | None, words: Wording) -> str:
    """Return the change of a usage rate since the week before: `+12 %`; '' if there is nothing to compare."""
    if now is None or before is None or before < _NO_USE:
        return ""
    ratio = now / before
    if not isfinite(ratio):
        return ""
    if ratio > _MANY_TIMES:
        return f"× {words.number(ratio)}"
    percent = round((ratio - 1) * 100)
    shown = f"{percent:+d}".replace("-", "−") if percent else "± 0"
    return words.gettext("%(number)s %%", number=shown)
