"""An OpenID provider on loopback that follows the protocol: it checks requests and signs its tokens."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import (
    parse_qs,
    unquote_plus,
    urlencode,
    urlsplit,  # noqa: TID251 -- a test may fail by what it raises
)

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "balancebot", "the client's secret: 100 %"


class Provider:
    """Logs everyone in as `user`; tests can override its answers."""

    def __init__(self) -> None:
        self.user: dict[str, Any] = {"sub": "u-1", "preferred_username": "grace"}
        self.in_userinfo: dict[str, Any] = {}
        """Claims that only the userinfo endpoint returns."""
        self.changes: dict[str, Any] = {}
        """Claims that override those of the ID token."""
        self.auth_methods = ["client_secret_basic", "client_secret_post"]
        self.key = RSAKey.generate_key(2048, {"kid": "first"})
        self.foreign: RSAKey | None = None
        """A key that signs instead of the published one."""
        self.refuses = False
        self.overrides: dict[str, Any] = {}
        """Answers that override those at a path; `path key` overrides one key of the answer."""
        self.now = 0
        self.codes: dict[str, dict[str, str]] = {}
        self.faults: list[str] = []
        self.issuer = ""

    def change_key(self, kid: str) -> None:
        """Sign with another key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": kid})

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            "scopes_supported": ["openid", "profile", "groups"],
            "token_endpoint_auth_methods_supported": self.auth_methods,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Return the URL to which the browser is redirected."""
        back = {"state": asked["state"], "iss": self.issuer}
        if self.refuses:
            return f"{asked['redirect_uri']}?{urlencode(back | {'error': 'access_denied'})}"
        for name, wanted in (
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("scope", "openid profile groups"),
            ("code_challenge_method", "S256"),
        ):
            if asked.get(name) != wanted:
                self.faults.append(f"{name} is {asked.get(name)}")
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode(back | {'code': code})}"

    def token(self, sent: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Exchange a code once, for the client that it was issued to."""
        if authorization.startswith("Basic "):
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
            shown = (unquote_plus(name), unquote_plus(secret))
        else:
            shown = (sent.get("client_id", ""), sent.get("client_secret", ""))
        asked = self.codes.pop(sent.get("code", ""), None)
        verifier = sent.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (
            asked is None
            or shown != (CLIENT, SECRET)
            or asked["redirect_uri"] != sent.get("redirect_uri")
            or asked["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": self.now,
            "exp": self.now + 300,
            "nonce": asked["nonce"],
            **self.user,
            **self.changes,
        }
        key = self.foreign or self.key
        signed = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, key)
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": signed}


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider until the end of the block."""
    openid = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            match parts.path:
                case "/.well-known/openid-configuration":
                    self._json(200, openid.discovery())
                case "/jwks":
                    self._json(200, {"keys": [openid.key.as_dict(private=False)]})
                case "/authorize":
                    self.send_response(303)
                    self.send_header("Location", openid.authorize(asked))
                    self.end_headers()
                case "/userinfo":
                    assert "Bearer access" == self.headers["Authorization"]
                    self._json(200, {"sub": openid.user["sub"], **openid.in_userinfo})
                case _:
                    self._json(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = {name: values[0] for name, values in parse_qs(body).items()}
            self._json(*openid.token(sent, self.headers.get("Authorization", "")))

        def _json(self, status: int, document: dict[str, Any]) -> None:
            path = urlsplit(self.path).path
            document = openid.overrides.get(path, document)
            for place, value in openid.overrides.items():
                where, _, key = place.partition(" ")
                if where == path and key:
                    document = document | {key: value}
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    openid.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield openid
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
