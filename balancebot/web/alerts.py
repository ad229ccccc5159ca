"""Alerts, open and past: causes, messages and their destinations; acknowledging and silencing."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from balancebot.answers import alert_severity, with_causes
from balancebot.domain.alert import Alert, AlertKind
from balancebot.domain.audit import Act, AuditEntry
from balancebot.domain.delivery import DeliveryState
from balancebot.domain.escalation import upcoming
from balancebot.domain.local_time import read_instant
from balancebot.domain.message import AlertMessage, Measurement
from balancebot.domain.number_text import read_quantity
from balancebot.domain.pattern import Pattern, Patterns
from balancebot.domain.quiet_hours import waiting_until
from balancebot.domain.sentence import Sentence, sentence
from balancebot.domain.verdict import Severity
from balancebot.i18n import Wording
from balancebot.overview.balances import overview
from balancebot.sheet_writer import Cell
from balancebot.store import alerts, audit, notification_history, silences, wallets
from balancebot.store import alerts as store
from balancebot.store.alerts import AlertFilter, OpenState
from balancebot.store.types import parse_id
from balancebot.web.audit import AuditDifference, differences
from balancebot.web.downloads import MAX_IN_CSV, csv_file, instant_cell
from balancebot.web.paging import PAGE, Page, offset, page_number, page_of
from balancebot.web.rendering import show, shown_or
from balancebot.web.request import Done, PageRequest, done

_SPANS = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "24h": timedelta(days=1),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_MORNING = time(9)


_ACTS = (Act.ACKNOWLEDGE, Act.ADD_ORDER, Act.SILENCE, Act.SET_THRESHOLD, Act.REMOVE_THRESHOLD)
_MAX_ACTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRow:
    """What one user did about an alert."""

    actor: str
    act: Act
    at: datetime
    differences: tuple[AuditDifference, ...]


def listed(request: PageRequest) -> Response:
    """Show the open alerts, worst first, or the past ones, newest first; and the active silences."""
    return _listed(request)


def alert_page(request: PageRequest) -> Response:
    """Show one alert and its history."""
    return _show_alert(request)


def acknowledge(request: PageRequest) -> Response:
    """Stop the reminders of an alert; record the order, if one was placed, before that: the message then counts it."""
    app, alert_id, note = request.app, request.part("id"), request.sent("note")[:500]
    quantity = read_quantity(request.sent("quantity")) if request.sent("quantity") else None
    expects_by = _expected_top_up(request, is_ordered=quantity is not None)
    if isinstance(quantity, Sentence) or isinstance(expects_by, Sentence):
        typed = {"quantity": quantity, "expects_by": expects_by}
        return _show_alert(
            request, faults={name: fault for name, fault in typed.items() if isinstance(fault, Sentence)}
        )
    with app.database.read() as conn:
        number = parse_id(alert_id)
        found = None if number is None else store.get(conn, number)
    if found is None or not found.is_open:
        return _show_alert(request, fault=request.words.gettext("This alert is already closed."))
    once = request.once
    balance = found.alert.subject.balance
    what = Done.ACKNOWLEDGED
    if quantity is not None and expects_by is not None and balance is not None:
        what = Done.ACKNOWLEDGED_AND_ORDERED
        by = replace(request.actor, request=once and f"{once} order")
        made = app.operate_orders.add(balance, quantity=quantity, expected_at=expects_by, note=note, by=by)
        if isinstance(made, Sentence):
            return _show_alert(request, faults={"quantity": made})
    by = replace(request.actor, request=once)
    if app.operate_alerts.acknowledge(alert_id, by=by, note=note, expects_by=expects_by) is None:
        return _show_alert(request, fault=request.words.gettext("This alert is already closed."))
    return done(f"/alerts/{number}", what)


def resend(request: PageRequest) -> Response:
    """Retry a delivery that was given up."""
    state = request.app.operate_deliveries.resend(request.part("delivery"), by=request.actor)
    if state not in {DeliveryState.GAVE_UP, DeliveryState.PENDING}:
        return _show_alert(
            request, fault=request.words.gettext("This delivery has already arrived or is being sent.")
        )
    return done(f"/alerts/{request.part('id')}", Done.RESENT)


def silence(request: PageRequest) -> Response:
    """Mute the balances that a pattern matches."""
    app, text = request.app, request.sent("pattern")
    pattern, until = Pattern.parse(text), _until(request)
    if isinstance(pattern, Sentence):
        return _listed(
            request,
            fault=request.words.translate(sentence("The pattern %(fault)s", fault=pattern)),
        )
    if until is None:
        return _listed(request, fault=request.words.gettext("Choose until when."))
    app.operate_alerts.silence(pattern, until=until, reason=request.sent("reason")[:500], by=request.actor)
    return done("/alerts", Done.SILENCED)


def end_silence(request: PageRequest) -> Response:
    """End a silence early."""
    if not request.app.operate_alerts.end_silence(request.part("id"), by=request.actor):
        return _listed(request, fault=request.words.gettext("This silence has already ended."))
    return done("/alerts", Done.SILENCE_ENDED)


def with_reasons(
    conn: Connection, found: Sequence[AlertMessage], words: Wording
) -> list[tuple[Alert, AlertMessage, str]]:
    """Return alerts as messages show them, each with why it is or was open."""
    return [(last.alert, last, _why(cause, words)) for last, cause in with_causes(conn, found)]


def _why(message: AlertMessage, words: Wording) -> str:
    return shown_or(lambda: words.why(message), words.gettext("can't be shown"))


def silences_to_csv(request: PageRequest) -> Response:
    """Send the active silences as CSV."""
    with request.app.database.read() as conn:
        active_silences = silences.active(conn, request.now)
    rows = (
        (
            str(silence.id),
            silence.pattern.text,
            instant_cell(silence.begins_at),
            instant_cell(silence.until),
            silence.reason,
            silence.created_by,
        )
        for silence in active_silences[:MAX_IN_CSV]
    )
    return csv_file([("id", "pattern", "begins_at", "until", "reason", "created_by"), *rows], "silences.csv")


def to_csv(request: PageRequest) -> Response:
    """Send all alerts that match the address, from all pages, as CSV."""
    wanted, is_past = _wanted(request), request.query("show") == "past"
    app, words = request.app, request.words
    with app.database.read() as conn:
        found = (store.past if is_past else store.worst_open)(conn, limit=MAX_IN_CSV, wanted=wanted)
        rows = with_reasons(conn, found, words)
    table: list[tuple[Cell, ...]] = [
        (
            "id",
            "kind",
            "severity",
            "wallet",
            "category",
            "opened_at",
            "closed_at",
            "acknowledged_by",
            "reason",
            "note",
        )
    ]
    table += [
        (
            str(alert.id),
            alert.subject.kind.value,
            alert_severity(alert).word,
            alert.subject.wallet,
            alert.subject.category or "",
            instant_cell(alert.opened_at),
            instant_cell(alert.closed_at),
            alert.acknowledged_by or "",
            why or words.why_closed(last),
            last.context.note,
        )
        for alert, last, why in rows
    ]
    return csv_file(table, "alerts.csv")


def acknowledge_many(request: PageRequest) -> Response:
    """Acknowledge every ticked alert that nobody has acknowledged yet."""
    seen = request.app.operate_alerts.acknowledge_all(request.sent_all("alert"), by=request.actor)
    if not seen:
        return _listed(
            request, fault=request.words.gettext("No open alert is ticked that still waits for it.")
        )
    return done("/alerts", Done.ACKNOWLEDGED)


def silence_many(request: PageRequest) -> Response:
    """Mute the balances or wallets of all ticked alerts."""
    until = _until(request)
    ids = [found for text in request.sent_all("alert") if (found := parse_id(text)) is not None]
    with request.app.database.read() as conn:
        ticked = [last.alert for alert_id in ids[:PAGE] if (last := store.get(conn, alert_id)) is not None]
    texts = dict.fromkeys(
        alert.subject.wallet if alert.subject.balance is None else str(alert.subject.balance)
        for alert in ticked
        if alert.closed_at is None
    )
    patterns = [parsed for text in texts if isinstance(parsed := Pattern.parse(text), Pattern)]
    if until is None or not patterns:
        return _listed(request, fault=request.words.gettext("Tick open alerts, and choose until when."))
    muted = Patterns(parts=tuple(patterns)) if len(patterns) > 1 else patterns[0]
    request.app.operate_alerts.silence(
        muted, until=until, reason=request.sent("reason")[:500], by=request.actor
    )
    return done("/alerts", Done.SILENCED)


def _wanted(request: PageRequest) -> AlertFilter:
    return AlertFilter(
        about=request.query("q"),
        severity=next((level for level in Severity if level.word == request.query("severity")), None),
        kind=next((kind for kind in AlertKind if kind.value == request.query("kind")), None),
        state=next((state for state in OpenState if state.value == request.query("state")), None),
    )


def _listed(request: PageRequest, fault: str = "") -> Response:
    app = request.app
    number, wanted = page_number(request.query("page")), _wanted(request)
    is_past = request.query("show") == "past"
    shown: Sequence[AlertMessage]
    with app.database.read() as conn:
        num_open = store.num_open_about(conn)
        active_silences = silences.active(conn, request.now)
        quiet = alerts.muted_counts(conn)
        if is_past:
            closed = store.past(conn, limit=PAGE + 1, offset=offset(number), wanted=wanted)
            shown, paging = closed[:PAGE], Page(number=number, more=len(closed) > PAGE)
        else:
            paging = page_of(store.num_open_about(conn, wanted), number)
            shown = store.worst_open(conn, limit=PAGE, offset=offset(paging.number), wanted=wanted)
        listed = with_reasons(conn, shown, request.words)
    return show(
        request,
        "alerts.html.j2",
        status=422 if fault else 200,
        alerts=listed,
        num_open=num_open,
        muted=quiet,
        is_past=is_past,
        wanted=wanted,
        asked={
            "q": wanted.about,
            "severity": "" if wanted.severity is None else wanted.severity.word,
            "kind": wanted.kind or "",
            "state": wanted.state or "",
            "show": "past" if is_past else "",
        },
        severities=[Severity.DEPLETED, Severity.CRITICAL, Severity.WARNING],
        kinds=list(AlertKind),
        states=list(OpenState),
        paging=paging,
        silences=active_silences,
        spans=list(_SPANS),
        pattern=request.sent("pattern") or request.query("silence"),
        reason=request.sent("reason"),
        fault=fault,
    )


def _show_alert(
    request: PageRequest, fault: str = "", *, faults: Mapping[str, Sentence] = MappingProxyType({})
) -> Response:
    """Show an alert; `fault` stands above it, `faults` at the fields of the form."""
    app, alert_id = request.app, parse_id(request.part("id"))
    with app.database.read() as conn:
        found = None if alert_id is None else store.get(conn, alert_id)
        if alert_id is None or found is None:
            raise HTTPException(404, sentence("This alert doesn't exist.").id)
        ((alert, last, why),) = with_reasons(conn, [found], request.words)
        entries = notification_history.of_alert(conn, alert_id)
        present = last.measurement if alert.closed_at is not None else _present(conn, request, last)
        acts = acts_of(conn, alert, request.words)
        todo = (
            [] if alert.closed_at is not None else _actions(conn, request, replace(last, measurement=present))
        )
    say = request.words
    hours = app.settings.quiet_hours
    return show(
        request,
        "alert.html.j2",
        status=422 if fault or faults else 200,
        alert=alert,
        last=last,
        why=why,
        waits_until=waiting_until(None if hours is None else hours.at(request.now), alert),
        escalates=upcoming(app.settings.escalations, alert),
        entries=[(entry, say.why_closed(entry.message) or _why(entry.message, say)) for entry in entries],
        opening=entries[-1].message.measurement if entries else last.measurement,
        present=present,
        todo=todo,
        acts=acts,
        spans=list(_SPANS),
        fault=fault,
        faults={name: request.words.translate(found) for name, found in faults.items()},
        typed={name: request.sent(name) for name in ("note", "expects_by", "quantity")},
        once=secrets.token_urlsafe(12),
    )


def _present(conn: Connection, request: PageRequest, last: AlertMessage) -> Measurement:
    """Return the present measurement of an open alert's balance; for a whole wallet, the last measurement."""
    balance = last.alert.subject.balance
    if balance is None:
        return last.measurement
    (view,) = [
        view
        for view in overview(
            conn,
            book=request.app.thresholds.book(conn),
            stale_after=request.app.settings.poll.stale_after,
            now=request.now,
            names=[balance.wallet],
        )
        if view.key == balance
    ]
    return replace(
        last.measurement,
        reading=view.reading,
        observed_at=view.observed_at,
        burn_per_day=view.estimate.burn_per_day,
        runway=view.estimate.runway,
    )


def _actions(conn: Connection, request: PageRequest, message: AlertMessage) -> Sequence[str]:
    """Return what to do about an open alert, as in its messages, with the present order advice."""
    subject, context = message.alert.subject, message.context
    row = wallets.find(conn, subject.wallet)
    if subject.kind is AlertKind.LOW_BALANCE and subject.balance is not None and row is not None:
        advice = request.app.figures.advise(conn, [row], now=request.now).get(subject.balance)
        context = replace(context, advice=advice)
    text = request.app.renderer.speaking(request.words).render(
        "chat/todo.j2", replace(message, context=context)
    )
    return [line for line in text.splitlines() if line.strip()]


def acts_of(conn: Connection, alert: Alert, words: Wording) -> list[ActRow]:
    """Return what users did about an alert while it was open, the latest first."""
    found = audit.newest(conn, limit=_MAX_ACTS, acts=_ACTS, since=alert.opened_at)
    return [
        ActRow(actor=entry.actor, act=entry.act, at=entry.at, differences=differences(entry, words))
        for entry in found
        if (alert.closed_at is None or entry.at <= alert.closed_at) and _is_about(entry, alert)
    ]


def _is_about(entry: AuditEntry, alert: Alert) -> bool:
    if entry.act is Act.ACKNOWLEDGE:
        return entry.subject.startswith(f"alert {alert.id} ")
    for text in entry.subject.split(", "):
        pattern = Pattern.parse(text)
        if isinstance(pattern, Pattern) and pattern.matches(alert.subject.wallet, alert.subject.category):
            return True
    return False


def _until(request: PageRequest) -> datetime | None:
    chosen = request.sent("for")
    if chosen == "morning":
        local = request.now.astimezone(request.zone)
        tomorrow = local.date() + timedelta(days=1)
        return datetime.combine(tomorrow, _MORNING, tzinfo=request.zone).astimezone(UTC)
    span = _SPANS.get(chosen)
    return None if span is None else request.now + span


def _expected_top_up(request: PageRequest, *, is_ordered: bool) -> datetime | Sentence | None:
    """Read the local time by which a top-up is expected. None: no time was entered; a sentence: what is wrong with it."""
    text = request.sent("expects_by")
    if not text:
        return sentence("Say by when the top-up is expected.") if is_ordered else None
    at = read_instant(text, request.zone, now=request.now)
    if isinstance(at, datetime) and at <= request.now:
        return sentence("The top-up is expected in the past: choose a later time.")
    return at
