"""Renders pages: templates contain the text, code the structure; everything is escaped."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from balancebot import packaged
from balancebot.app import App
from balancebot.catalogue import install
from balancebot.domain.threshold import Scope
from balancebot.domain.user import Role
from balancebot.i18n import Wording
from balancebot.store import alerts
from balancebot.web.request import CSRF_TOKEN, PageRequest, done_text, effects_of

log = logging.getLogger(__name__)

Shown = TypeVar("Shown")

_BUILT_IN = packaged("templates") / "web"


def show(
    request: PageRequest,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> HTMLResponse:
    """Render a page, or a part of one, for a user."""
    text = render(
        request.app,
        template,
        request.words,
        now=request.now,
        user=request.user,
        has_session=bool(request.session_id),
        path=request.http.url.path,
        token=Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_TOKEN, request.csrf_token),
        may_edit=request.user.role.may(Role.FINANCE),
        is_admin=request.user.role.may(Role.ADMIN),
        was_done=done_text(request.query("done")),
        effects=effects_of(request),
        num_alerts=_num_alerts(request),
        configuration=request.http.app.state.configuration(),
        **values,
    )
    return HTMLResponse(text, status_code=status, headers=headers)


def _num_alerts(request: PageRequest) -> int:
    with request.app.database.read() as conn:
        return alerts.num_open_about(conn)


def render(app: App, template: str, say: Wording, **values: object) -> str:
    """Render a template in the language of `say`: the operator's version if there is one that works."""
    language, folder = say.language, app.settings.templates.dir
    words = {"language": language, "say": say}
    if folder is not None and (folder / "web" / template).is_file():
        try:
            return _environment(folder / "web", language).get_template(template).render(words | values)
        except Exception as error:  # noqa: BLE001 -- the operator's template may fail in any way; the page must still be shown
            log.warning("web.template_failed", extra={"template": template, "error": str(error)})
    return _environment(_BUILT_IN, language).get_template(template).render(words | values)


@cache
def _environment(folder: Path, language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, _BUILT_IN]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        target=_target,
        static=_static_address,
        query=_query,
    )
    environment.filters["ago"] = _ago
    environment.filters["combine"] = _combine
    environment.filters["number"] = Wording(language=language).number
    environment.filters["instant"] = _instant
    install(environment, language)
    return environment


def shown_or(make: Callable[[], Shown], otherwise: Shown) -> Shown:
    """Return `make()`, or `otherwise` if it fails: one row that can't be shown must not break the whole page."""
    try:
        return make()
    except Exception:
        log.exception("web.row_failed")
        return otherwise


def _static_address(name: str) -> str:
    """Return the address of a static file. It changes with the file, so browsers may keep the file for good."""
    return f"/static/{name}?v={_digest(name)}"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((_BUILT_IN / "static" / name).read_bytes()).hexdigest()[:12]


def _query(**values: object) -> str:
    """Return the query of an address, without empty values."""
    given = {name: value for name, value in values.items() if value not in {None, ""}}
    return f"?{urlencode(given)}" if given else ""


def _combine(values: Mapping[str, object], **others: object) -> dict[str, object]:
    return {**values, **others}


def _target(scope: Scope) -> str:
    """Return the query that names a threshold's scope."""
    return f"?{urlencode({'wallet': scope.wallet, 'category': scope.category or '*'})}"


def _ago(at: datetime, now: datetime) -> timedelta:
    """Return how long ago an instant was, for `say.elapsed`."""
    return max(now - at, timedelta(0))


def _instant(at: datetime, say: Wording) -> Markup:
    """Return an instant as text for people, with the exact instant for machines."""
    iso = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
        iso, f"{say.local(at):%Y-%m-%d %H:%M:%S}", say.zone_name, say.when(at)
    )
