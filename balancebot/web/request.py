"""One request of one user: the user, the fields, and the only two ways to make a route from a handler.

A `page` needs a session and a role. A `change` also needs the session's token. Handlers are plain functions that run in
a thread: `PageRequest` in, response out.
"""

import hmac
import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Message

from balancebot.alerts.transitions import NotifiedAlert
from balancebot.app import App
from balancebot.config import LANGUAGES, Secret
from balancebot.domain.alert import Reason
from balancebot.domain.audit import Actor, Via
from balancebot.domain.sentence import sentence
from balancebot.domain.user import Role, User
from balancebot.i18n import Wording
from balancebot.people.vouched import vouched_user
from balancebot.store import alerts
from balancebot.web.overview_lists import OverviewLists
from balancebot.web.proxies import proxied_user

log = logging.getLogger(__name__)

COOKIE = "balancebot"
CSRF_TOKEN = "csrf_token"  # noqa: S105 -- the name of a field
_TOKEN_FIELD = re.compile(rb'name="csrf_token"\r\n\r\n([0-9a-f]{1,128})\r\n')
_MAX_TOKEN_OFFSET = 2048
_MAX_ONCE = 40
"""The token of a form with files must be within its first bytes (this many): it is the first field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A request of a user who may make it."""

    app: App
    http: Request
    """The browser's request."""
    now: datetime
    user: User
    session_id: str
    csrf_token: str
    form: FormData = field(default_factory=FormData)
    """The fields of a change; empty for a page."""

    @property
    def words(self) -> Wording:
        """Writes text and figures in the language and zone that the user chose, or as configured."""
        language = self.user.language if self.user.language in LANGUAGES else self.app.words.language
        return replace(self.app.words, language=language, zone=self.zone)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that the user chose, or the configured one."""
        return zone_of(self.user.time_zone) or self.app.settings.timezone

    @property
    def lists(self) -> OverviewLists:
        """The kept lists of the overview."""
        lists: OverviewLists = self.http.app.state.lists
        return lists

    @property
    def wants_part(self) -> bool:
        """Whether htmx asks for a part of the page, or the browser for the whole page."""
        headers = self.http.headers
        return "hx-request" in headers and "hx-history-restore-request" not in headers

    @property
    def actor(self) -> Actor:
        """The user as author of a change."""
        return Actor(name=self.user.name, via=Via.PAGE)

    @property
    def sheet_actor(self) -> Actor:
        """The same, for changes from a spreadsheet."""
        return Actor(name=self.user.name, via=Via.SHEET)

    def query(self, name: str) -> str:
        """Return a value of the address, '' if it is absent."""
        return self.query_exactly(name).strip()

    def query_exactly(self, name: str) -> str:
        """Return a value of the address with spaces at its ends: a wallet's name."""
        return storable(self.http.query_params.get(name, ""))

    def sent(self, name: str) -> str:
        """Return a field of the form, '' if it is absent."""
        return self.sent_exactly(name).strip()

    @property
    def once(self) -> str:
        """Return the id that a form got when it was shown: what is sent twice is done once. '' if it has none."""
        return self.sent("once")[:_MAX_ONCE]

    def sent_all(self, name: str) -> list[str]:
        """Return all values of a field that may be sent several times, such as a tick box."""
        return [storable(value) for value in self.form.getlist(name) if isinstance(value, str)]

    def sent_exactly(self, name: str) -> str:
        """Return a field as it was typed, with spaces at its ends: a password, a wallet's name."""
        value = self.form.get(name)
        return storable(value) if isinstance(value, str) else ""

    def uploaded(self, name: str) -> tuple[str, bytes] | None:
        """Return a file's name and bytes; None if no file was chosen."""
        value = self.form.get(name)
        if not isinstance(value, UploadFile) or not value.filename:
            return None
        return value.filename, value.file.read()

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return storable(self.http.path_params[name])


@cache
def zone_of(name: str) -> ZoneInfo | None:
    """Return the time zone `name`; None for '' and for a name that doesn't exist (any more)."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def words_for(request: Request) -> Wording:
    """Return the wording for a visitor who isn't logged in: the browser's preferred language, if we have it."""
    words = app_of(request).words
    return replace(
        words, language=_wanted(request.headers.get("accept-language", "")[:_MAX_LANGUAGES]) or words.language
    )


_MAX_LANGUAGES = 500


def _wanted(header: str) -> str:
    """Return the language that `Accept-Language` prefers (RFC 9110, 12.5.4) among ours; '' for none."""
    liked: dict[str, float] = {}
    for part in header.split(","):
        tag, _, quality = part.partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", quality) if quality else None
        primary = tag.strip().lower().partition("-")[0]
        language = next((name for name in LANGUAGES if name.lower().partition("-")[0] == primary), None)
        if language is not None and (found is not None or not quality):
            liked.setdefault(language, float(found[1]) if found is not None else 1.0)
    best = max(liked, key=lambda name: liked[name], default="")
    return best if best and liked[best] > 0 else ""


def storable(text: str) -> str:
    """Return text without NUL characters: PostgreSQL refuses them, and nobody types one."""
    return text.replace("\0", "")


Handler = Callable[[PageRequest], Response]


def page(path: str, handler: Handler, *, needs: Role = Role.VIEWER) -> Route:
    """Make a route that shows something to users with a role."""

    async def endpoint(request: Request) -> Response:
        allowed = await run_in_threadpool(_authorized, request, needs)
        return allowed if isinstance(allowed, Response) else await run_in_threadpool(handler, allowed)

    return Route(path, endpoint, methods=["GET"])


def change(path: str, handler: Handler, *, needs: Role = Role.FINANCE) -> Route:
    """Make a route that changes something, for users with a role, if the form comes from their own session."""

    async def endpoint(request: Request) -> Response:
        allowed = await run_in_threadpool(_authorized, request, needs)
        if isinstance(allowed, Response):
            return allowed
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            request, token = await _with_token(request)
            _check_token(allowed, token)
        async with request.form(max_files=1, max_fields=200, max_part_size=512 * 1024) as form:
            given = form.get(CSRF_TOKEN)
            _check_token(allowed, given if isinstance(given, str) else "")
            return await run_in_threadpool(handler, replace(allowed, form=form))

    return Route(path, endpoint, methods=["POST"])


def _check_token(page_request: PageRequest, given: str) -> None:
    if not hmac.compare_digest(page_request.csrf_token.encode(), given.encode()):
        raise HTTPException(403, sentence("This form is out of date: reload the page and try again.").id)


async def _with_token(request: Request) -> tuple[Request, str]:
    """Return a request with files, and the token before them, so that files of forged forms are never read."""
    began: deque[Message] = deque()
    head = b""
    while len(head) < _MAX_TOKEN_OFFSET:
        message = await request.receive()
        began.append(message)
        head += message.get("body", b"")
        if not message.get("more_body"):
            break

    async def receive() -> Message:
        return began.popleft() if began else await request.receive()

    found = _TOKEN_FIELD.search(head[: 2 * _MAX_TOKEN_OFFSET])
    return Request(request.scope, receive), found[1].decode() if found else ""


def app_of(request: Request) -> App:
    """Return the app whose pages are served."""
    app: App = request.app.state.app
    return app


def is_https(app: App) -> bool:
    """Return whether the pages are reached over https; cookies are then for https only."""
    return app.public_url.startswith("https://")


def cookie_name(app: App) -> str:
    """Return the cookie's name; over https a name that only this host can set."""
    return f"__Host-{COOKIE}" if is_https(app) else COOKIE


def session_token(app: App, request: Request) -> Secret | None:
    """Return the session's token from its cookie."""
    return cookie(request, cookie_name(app))


def cookie(request: Request, name: str) -> Secret | None:
    """Return the value of a cookie; None if it is absent."""
    value = request.cookies.get(name)
    return Secret(value) if value else None


def page_request_of(request: Request) -> PageRequest | None:
    """Return the request of the logged-in user; None if nobody is logged in."""
    app = app_of(request)
    now = app.clock.now()
    proxied = _proxied(app, request, now)
    if proxied is not None:
        return proxied
    token = session_token(app, request)
    session = None if token is None else app.log_in.session(token, now=now)
    if token is None or session is None or (session.user.vouched and app.openid is None):
        return None
    return PageRequest(
        app=app,
        http=request,
        now=now,
        user=session.user,
        session_id=session.id,
        csrf_token=app.log_in.csrf_token(token),
    )


def _proxied(app: App, request: Request, now: datetime) -> PageRequest | None:
    """Return the request of the user whom a trusted proxy names, or None. Raises 403 if that user has no role."""
    web = app.settings.web
    if web is None or web.user_header is None:
        return None
    name = proxied_user(request, header=web.user_header, trusted=web.trusted_proxies)
    if name is None:
        return None
    user = vouched_user(app.database, name=name, role=web.default_role, now=now)
    if user is None:
        log.warning("web.proxy_user_refused", extra={"user": name})
        raise HTTPException(403, sentence("You have no role here. Ask an admin to add you as a user.").id)
    return PageRequest(
        app=app,
        http=request,
        now=now,
        user=user,
        session_id="",
        csrf_token=app.log_in.csrf_token(Secret(f"proxy:{name}")),
    )


def _authorized(request: Request, needs: Role) -> PageRequest | Response:
    page_request = page_request_of(request)
    if page_request is None:
        if "hx-request" in request.headers:
            return Response(status_code=401)
        if request.method != "GET":
            return RedirectResponse("/login", status_code=303)
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(here, safe='/')}", status_code=303)
    if not page_request.user.role.may(needs):
        raise HTTPException(403, sentence("Your role doesn't allow this.").id)
    return page_request


class Done(StrEnum):
    """The message of a page after a change, as the id of a sentence. The address contains its key, never its text."""

    USER_ADDED = sentence("The user was added.").id
    USER_REMOVED = sentence("The user was removed and is logged out everywhere.").id
    ROLE_SET = sentence("The role was changed and applies immediately.").id
    PASSWORD_SET = sentence("The password was changed; all other sessions have ended.").id
    PREFERENCES_SET = sentence("The language and the time zone were changed.").id
    LOGGED_OUT = sentence("The sessions have ended.").id
    SAVED = sentence("Saved, and judged by the latest readings.").id
    REMOVED = sentence("The row was removed, and what now holds was judged by the latest readings.").id
    UNDONE = sentence("Undone, and judged by the latest readings.").id
    IMPORTED = sentence("The sheet was applied, and judged by the latest readings.").id
    ACKNOWLEDGED = sentence("Acknowledged: no reminders unless it gets worse.").id
    ACKNOWLEDGED_AND_ORDERED = sentence(
        "Acknowledged: no reminders unless it gets worse. The order was recorded, too."
    ).id
    TEST_SENT = sentence("The test message is on its way. Reload the page to see whether it has arrived.").id
    RESENT = sentence("It will be sent again now.").id
    SILENCED = sentence("Silenced.").id
    SILENCE_ENDED = sentence("The silence has ended.").id
    PLAN_ADDED = sentence("The send was added and counts towards the runway from now on.").id
    PLAN_REMOVED = sentence("The send was removed.").id
    ORDER_ADDED = sentence("The order was recorded and counts in the order advice from now on.").id
    ORDER_CANCELLED = sentence("The order was cancelled.").id
    ORDER_MATCHED = sentence("The top-up belongs to the chosen order now.").id
    ORDER_UNMATCHED = sentence("The top-up belongs to no order now.").id


MAX_EFFECTS = 10
"""How many alerts a page names after a change; the alerts page shows all."""
_EFFECT = re.compile(r"([a-z]{1,12})-(\d{1,18})")


def done(address: str, what: Done, notified: Sequence[NotifiedAlert] = ()) -> Response:
    """Redirect to a page that shows what was done, and which alerts changed."""
    joint = "&" if "?" in address else "?"
    effects = ",".join(f"{alert.reason.value}-{alert.alert_id}" for alert in notified[:MAX_EFFECTS])
    query = f"&effects={effects}" if effects else ""
    return RedirectResponse(f"{address}{joint}done={what.name.lower()}{query}", status_code=303)


def effects_of(request: PageRequest) -> list[tuple[int, str]]:
    """Return the changed alerts that the address names: the id of each, and a sentence."""
    asked = request.query("effects").split(",")[:MAX_EFFECTS]
    found = [match for text in asked if (match := _EFFECT.fullmatch(text)) is not None]
    if not found:
        return []
    with request.app.database.read() as conn:
        last = {match[2]: alerts.get(conn, int(match[2])) for match in found}
    reasons = {reason.value: reason for reason in Reason}
    return [
        (
            int(match[2]),
            request.words.done_to_alert(reasons[match[1]], message.alert.severity, message.alert.subject),
        )
        for match in found
        if (message := last[match[2]]) is not None and match[1] in reasons
    ]


def done_text(key: str) -> str:
    """Return the id of the sentence of `key`; '' for an unknown key."""
    return next((what.value for what in Done if what.name.lower() == key), "")
