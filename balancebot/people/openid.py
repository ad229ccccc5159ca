"""OpenID Connect: log-in by another service. Authorization code with PKCE, and a nonce.

`begin` makes the address at the service; what must be remembered until the user returns is in a signed cookie. `finish`
exchanges the code for an ID token and accepts it only if its signature, issuer, audience, nonce and time are right
(OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207).
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from balancebot.config import OidcConfig
from balancebot.domain.sentence import sentence, split_address
from balancebot.domain.user import MAX_USER_NAME

ATTEMPT_LASTS = timedelta(minutes=10)
"""How long a user has to log in at the service."""
_KNOWN_FOR = timedelta(hours=1)
_FAILS_FOR = timedelta(seconds=5)
"""How long a service that didn't answer isn't asked again: requests that wait for it hold threads."""
_KEYS_AGAIN = timedelta(minutes=1)
_SECONDS = 10.0
_LEEWAY = 60
"""How far two clocks may differ, in seconds."""
_MAX_ANSWER = 1024 * 1024
_MAX_GROUPS = 1_000
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures by the service's private key: neither `none` nor HMAC with the shared secret."""


class OpenIdFault(StrEnum):
    """Why a log-in failed, as the id of a sentence."""

    UNREACHABLE = sentence("The sign-on service can't be reached right now. Try again in a moment.").id
    REFUSED = sentence("The sign-on service refused the log-in.").id
    INVALID = sentence("The sign-on service's answer can't be accepted. Begin the log-in again.").id


class OpenIdError(Exception):
    """The log-in has failed; the text is for the log and contains no secret."""

    def __init__(self, fault: OpenIdFault, why: str) -> None:
        super().__init__(why)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIdAttempt:
    """What must be remembered until the user returns from the service."""

    state: str
    nonce: str
    verifier: str
    next_page: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The user whom the service has authenticated."""

    name: str
    groups: tuple[str, ...]


class OpenIdConnect:
    """One service. Safe to share between threads."""

    def __init__(self, config: OidcConfig, *, redirect_uri: str) -> None:
        self._config = config
        self._redirect_uri = redirect_uri
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=_SECONDS, follow_redirects=False)
        self._known: tuple[dict[str, Any], datetime] | None = None
        self._failed: tuple[OpenIdError, datetime] | None = None
        self._keys: tuple[KeySet, datetime] | None = None

    @property
    def host(self) -> str:
        """The name of the service for users: its host."""
        return _host(self._config.issuer)

    def begin(self, next_page: str, *, now: datetime) -> tuple[str, OpenIdAttempt]:
        """Return the address at the service, and what must be remembered until the user returns. Raises OpenIdError."""
        service = self._service(now)
        attempt = OpenIdAttempt(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            next_page=next_page,
            expires_at=now + ATTEMPT_LASTS,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest())
        offered = service.get("scopes_supported")
        wanted = [
            scope
            for scope in ("openid", "profile", "email", "groups")
            if (scope in offered if isinstance(offered, list) else scope != "groups")
        ]
        asked = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(dict.fromkeys(["openid", *wanted])),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return _with_query(self._endpoint(service, "authorization_endpoint"), asked), attempt

    def finish(self, given: Mapping[str, str], attempt: OpenIdAttempt | None, *, now: datetime) -> Identity:
        """Return the user who returned with these parameters. Raises OpenIdError."""
        if attempt is None or not now < attempt.expires_at:
            raise OpenIdError(OpenIdFault.INVALID, "no log-in is under way in this browser")
        if not hmac.compare_digest(attempt.state.encode(), given.get("state", "").encode()):
            raise OpenIdError(OpenIdFault.INVALID, "the state isn't the one that was sent along")
        service = self._service(now)
        if given.get("iss", service["issuer"]) != service["issuer"]:
            raise OpenIdError(OpenIdFault.INVALID, "the answer is another issuer's")
        if "error" in given or not given.get("code"):
            raise OpenIdError(OpenIdFault.REFUSED, f"answered {given.get('error', 'without a code')[:100]!r}")
        answer = self._token(service, given["code"], attempt)
        claims = self._claims(service, str(answer.get("id_token", "")), attempt, now)
        if "groups" not in claims or not _name_of(claims, or_sub=False):
            claims = self._user_info(service, answer, claims) | claims
        return Identity(name=_name_of(claims), groups=_groups_of(claims))

    def close(self) -> None:
        """Close the connections to the service."""
        self._client.close()

    def end_session_page(self, *, now: datetime) -> str:
        """Return the page on which a user logs out at the service; '' if it isn't known."""
        try:
            service = self._service(now)
        except OpenIdError:
            return ""
        place = service.get("end_session_endpoint")
        if not isinstance(place, str) or not self._is_safe(place):
            return ""
        return _with_query(place, {"client_id": self._config.client_id})

    def _service(self, now: datetime) -> dict[str, Any]:
        """Return the service's metadata, at most an hour old."""
        with self._lock:
            if self._failed is not None and self._failed[1] <= now < self._failed[1] + _FAILS_FOR:
                raise self._failed[0]
            if self._known is None or not self._known[1] <= now < self._known[1] + _KNOWN_FOR:
                self._failed = None
                try:
                    found = self._ask("GET", f"{self._config.issuer}/.well-known/openid-configuration")
                except OpenIdError as error:
                    self._failed = (error, now)
                    raise
                if str(found.get("issuer", "")).rstrip("/") != self._config.issuer:
                    raise OpenIdError(
                        OpenIdFault.INVALID, "the service calls itself otherwise than [web.oidc].issuer"
                    )
                self._known, self._keys = (found, now), None
            return self._known[0]

    def _token(self, service: dict[str, Any], code: str, attempt: OpenIdAttempt) -> dict[str, Any]:
        config = self._config
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        ways = service.get("token_endpoint_auth_methods_supported")
        place = self._endpoint(service, "token_endpoint")
        if not isinstance(ways, list) or "client_secret_basic" in ways:
            pair = urlencode({config.client_id: config.client_secret.reveal()}).replace("=", ":", 1)
            basic = base64.b64encode(pair.encode()).decode()
            return self._ask("POST", place, data=sent, headers={"Authorization": f"Basic {basic}"})
        secret = {"client_id": config.client_id, "client_secret": config.client_secret.reveal()}
        return self._ask("POST", place, data=sent | secret)

    def _claims(
        self, service: dict[str, Any], id_token: str, attempt: OpenIdAttempt, now: datetime
    ) -> dict[str, Any]:
        """Return a token's claims, after checking that it is from this service and for this client and log-in."""
        try:
            try:
                claims = jwt.decode(id_token, self._key_set(service, now), algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError):  # the service may have changed its keys
                keys = self._key_set(service, now, refresh=True)
                claims = jwt.decode(id_token, keys, algorithms=_ALGORITHMS).claims
            jwt.JWTClaimsRegistry(
                now=int(now.timestamp()),
                leeway=_LEEWAY,
                iss={"essential": True, "value": service["issuer"]},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": attempt.nonce},
            ).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OpenIdError(
                OpenIdFault.INVALID, f"the ID token isn't valid: {type(error).__name__}"
            ) from None
        if not _is_text(claims):
            raise OpenIdError(OpenIdFault.INVALID, "the ID token holds half characters")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp", self._config.client_id if len(audiences) == 1 else None)
        if self._config.client_id not in audiences or party != self._config.client_id:
            raise OpenIdError(OpenIdFault.INVALID, "the ID token is for another client")
        return dict(claims)

    def _key_set(self, service: dict[str, Any], now: datetime, *, refresh: bool = False) -> KeySet:
        with self._lock:
            if self._keys is None or (refresh and not self._keys[1] <= now < self._keys[1] + _KEYS_AGAIN):
                found: Any = self._ask("GET", self._endpoint(service, "jwks_uri"))
                self._keys = (KeySet.import_key_set(found), now)
            return self._keys[0]

    def _user_info(
        self, service: dict[str, Any], answer: dict[str, Any], claims: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the service's user info says about the user; {} if it has none."""
        if "userinfo_endpoint" not in service or not isinstance(answer.get("access_token"), str):
            return {}
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        found = self._ask("GET", self._endpoint(service, "userinfo_endpoint"), headers=headers)
        if found.get("sub") != claims["sub"]:
            raise OpenIdError(OpenIdFault.INVALID, "the user info is about another user")
        return found

    def _endpoint(self, service: dict[str, Any], name: str) -> str:
        place = service.get(name)
        if not isinstance(place, str) or not self._is_safe(place):
            raise OpenIdError(OpenIdFault.INVALID, f"the service names no {name} that can be used")
        return place

    def _is_safe(self, place: str) -> bool:
        """Return whether an address is as safe as the issuer's: https never leads to plain http."""
        parts, issuer = split_address(place), split_address(self._config.issuer)
        if parts is None or issuer is None or not parts.hostname:
            return False
        return parts.scheme in {"https", issuer.scheme}

    def _ask(self, method: str, place: str, **how: Any) -> dict[str, Any]:
        """Return the JSON object of an answer, within limits of time and size. Raises OpenIdError."""
        until = monotonic() + _SECONDS
        content = bytearray()
        try:
            headers = {"Accept-Encoding": "identity", **how.pop("headers", {})}
            with self._client.stream(method, place, headers=headers, **how) as answer:
                # as they come: what a few bytes unpack to has no limit
                for chunk in answer.iter_raw():
                    content += chunk
                    if len(content) > _MAX_ANSWER or monotonic() > until:
                        raise OpenIdError(OpenIdFault.UNREACHABLE, "the answer is too large or too slow")
        # RuntimeError: a reload has closed the connections meanwhile
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RuntimeError) as error:
            raise OpenIdError(OpenIdFault.UNREACHABLE, f"{_host(place)}: {type(error).__name__}") from None
        if answer.status_code >= 500:
            raise OpenIdError(OpenIdFault.UNREACHABLE, f"{_host(place)}: {answer.status_code}")
        if answer.status_code != 200:
            raise OpenIdError(OpenIdFault.REFUSED, f"{_host(place)}: {answer.status_code}")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or not _is_text(document):
            raise OpenIdError(OpenIdFault.INVALID, f"{_host(place)}: no JSON object")
        return document


def written(attempt: OpenIdAttempt) -> str:
    """Return an attempt as text for a cookie."""
    return base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode()


def read(text: str) -> OpenIdAttempt | None:
    """Parse the text of `written`; None if it isn't valid."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text), type=OpenIdAttempt)
    except ValueError:
        return None


def _host(place: str) -> str:
    parts = split_address(place)
    return "" if parts is None else parts.netloc


def _with_query(place: str, asked: Mapping[str, str]) -> str:
    parts = split_address(place)
    return f"{place}{'&' if parts and parts.query else '?'}{urlencode(asked)}"


def _is_text(document: Mapping[str, Any]) -> bool:
    """Return whether every text in it can be stored and sent: JSON may spell halves of a character."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _name_of(claims: Mapping[str, Any], *, or_sub: bool = True) -> str:
    """Return the user's name: as at the service, else a verified e-mail address, else the subject."""
    email = claims.get("email") if claims.get("email_verified", True) is True else None
    for name in (claims.get("preferred_username"), email, claims.get("sub") if or_sub else None):
        if isinstance(name, str) and name.strip():
            return name.strip()[: MAX_USER_NAME + 1]
    return ""


def _groups_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    groups = claims.get("groups", [])
    found = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return tuple(group for group in found[:_MAX_GROUPS] if isinstance(group, str))
