"""Logging in and out, passwords, and the user of a request."""

import hmac
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from balancebot.config import Secret
from balancebot.domain.user import MAX_USER_NAME, Session
from balancebot.store import users as store
from balancebot.store.database import Database

IDLE = timedelta(hours=12)
"""A session without requests ends after this time."""
LONGEST = timedelta(days=14)
"""Every session ends after this time."""
TOUCH_EVERY = timedelta(minutes=5)

WINDOW = timedelta(minutes=15)
PAUSE = timedelta(minutes=1)
"""After too many wrong passwords, one more is checked per pause. So strangers lock nobody out for longer."""
MAX_FAILURES = 5
"""Per name and address."""
MAX_FAILURES_OF_ADDRESS = 20
MAX_FAILURES_OF_NAME = 50
"""Per name, from all addresses. It only slows down addresses that have sent a wrong password before."""
KNOWN_FOR = timedelta(days=180)
"""How long a browser in which a user logged in is remembered."""
_MAX_ADDRESS = 64
_CONFIRMED = "logged in"
"""Stands in place of the address for guesses by a user who is logged in already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """The name and password were right."""

    token: Secret
    """For the session's cookie."""
    expires_at: datetime
    browser: Secret
    """For a cookie that outlives the session: it identifies the user's browser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInRefused:
    """The name or password was wrong; the visitor isn't told which."""

    user: str = field(default="", compare=False)
    """For the log: the name, if there is such a user. Any other name may be a password in the wrong field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInThrottled:
    """Refused without a check, after too many wrong passwords."""

    retry_after: timedelta
    user: str = field(default="", compare=False)
    """As in `LogInRefused`."""


class LogIn:
    """Logs users in and out. Safe to share between threads."""

    def __init__(self, database: Database, secret_key: Secret) -> None:
        """Take the key for cookies and forms. A new key ends all sessions."""
        self._database = database
        self._key = secret_key.reveal().encode()

    def log_in(
        self, *, name: str, password: str, address: str, now: datetime, browser: Secret | None = None
    ) -> LoggedIn | LogInRefused | LogInThrottled:
        """Check a name and password from `address`.

        Failures in a known `browser` of the user are counted separately, so that no stranger's guesses lock it out.
        """
        name = name[:MAX_USER_NAME]
        known = self._known(name, browser)
        address = (f"browser {known}" if known else counted_address(address))[:_MAX_ADDRESS]
        password_hash = self._checked(name, password, address, now=now, is_known=bool(known))
        if not isinstance(password_hash, str):
            return password_hash
        renewed = hash_password(password) if is_outdated(password_hash) else None
        token = Secret(secrets.token_urlsafe(32))
        expires_at = now + IDLE
        with self._database.write() as conn:
            current = store.find(conn, name)
            if current is None or current[1] != password_hash:
                return LogInRefused(user=name)  # removed meanwhile, or the password was changed
            store.forget_failures(conn, name, address)
            if renewed is not None:
                store.set_password_hash(conn, name, renewed)
            store.start_session(conn, self._hash(token), name, now=now, expires_at=expires_at)
        return LoggedIn(token=token, expires_at=expires_at, browser=self._remember_browser(name))

    def start_session(self, name: str, *, now: datetime) -> Secret:
        """Log in a user whom a trusted service has authenticated; return the token for the cookie."""
        token = Secret(secrets.token_urlsafe(32))
        with self._database.write() as conn:
            store.start_session(conn, self._hash(token), name, now=now, expires_at=now + IDLE)
        return token

    def confirm(
        self, *, name: str, password: str, now: datetime
    ) -> Literal[True] | LogInRefused | LogInThrottled:
        """Check the password of a user who is logged in; wrong ones are counted like those of strangers."""
        checked = self._checked(name, password, _CONFIRMED, now=now, is_known=True)
        if not isinstance(checked, str):
            return checked
        with self._database.write() as conn:
            store.forget_failures(conn, name, _CONFIRMED)
        return True

    def _checked(
        self, name: str, password: str, address: str, *, now: datetime, is_known: bool
    ) -> str | LogInRefused | LogInThrottled:
        """Return the hash that the password matches, or the refusal. If `is_known`, only its own failures count."""
        with self._database.write() as conn:
            failures = store.failures(conn, name, address, since=now - WINDOW)
            wait = _wait(failures, now, is_known=is_known)
            found = store.find(conn, name)
            user = "" if found is None else found[0].name
            if wait is not None:
                return LogInThrottled(retry_after=wait, user=user)
            # Counted before the check: of a hundred guesses at once only the first few are answered.
            store.note_failure(conn, name, address, at=now, forget=now - WINDOW)
        password_hash = None if found is None else found[1]
        right = len(password) <= MAX_LENGTH and matches(password, password_hash)
        return password_hash if password_hash is not None and right else LogInRefused(user=user)

    def session(self, token: Secret, *, now: datetime) -> Session | None:
        """Return the session of a request's token, or None."""
        token_hash = self._hash(token)
        with self._database.read() as conn:
            session = store.find_session(conn, token_hash, now=now)
        if session is not None and now - session.seen_at >= TOUCH_EVERY:
            with self._database.write() as conn:
                store.touch_session(
                    conn,
                    token_hash,
                    seen_at=now,
                    expires_at=min(
                        now + IDLE, session.created_at + (IDLE if session.user.vouched else LONGEST)
                    ),
                )
        return session

    def log_out(self, token: Secret) -> None:
        """End a session."""
        with self._database.write() as conn:
            store.end_session(conn, self._hash(token))

    def sealed(self, text: str) -> str:
        """Return a text with a signature that proves that it is ours."""
        return f"{text}.{self._keyed('sealed', Secret(text))}"

    def unsealed(self, value: str) -> str | None:
        """Return the text that was given to `sealed`; None if the signature is wrong."""
        text, _, proof = value.rpartition(".")
        expected = self._keyed("sealed", Secret(text))
        return text if hmac.compare_digest(expected.encode(), proof.encode()) else None

    def csrf_token(self, token: Secret) -> str:
        """Return the token that every form of this session must send."""
        return self._keyed("form", token)

    def _remember_browser(self, name: str) -> Secret:
        mark = secrets.token_urlsafe(16)
        return Secret(f"{mark}.{self._keyed('browser', Secret(f'{mark}.{name}'))}")

    def _known(self, name: str, browser: Secret | None) -> str:
        """Return the mark of a browser that is known to be this user's, else ''."""
        mark, _, proof = ("" if browser is None else browser.reveal()).partition(".")
        expected = self._keyed("browser", Secret(f"{mark}.{name}"))
        return mark if hmac.compare_digest(expected.encode(), proof.encode()) else ""

    def _hash(self, token: Secret) -> str:
        return self._keyed("session", token)

    def _keyed(self, use: str, token: Secret) -> str:
        return hmac.digest(self._key, f"{use}:{token.reveal()}".encode(), "sha256").hex()


def _wait(failures: tuple[list[datetime], ...], now: datetime, *, is_known: bool) -> timedelta | None:
    """Return how long until another password is checked; None = now."""
    here, of_address, of_name = failures
    crowds = [here] if len(here) >= MAX_FAILURES else []
    if not is_known:
        crowds += [of_address] if len(of_address) >= MAX_FAILURES_OF_ADDRESS else []
        # A first-time visitor may be the user: guesses from other addresses don't lock anybody out.
        crowds += [of_name] if len(of_name) >= MAX_FAILURES_OF_NAME and here else []
    wait = max((times[-1] + PAUSE - now for times in crowds), default=timedelta())
    return min(wait, PAUSE) if wait > timedelta() else None


def counted_address(address: str) -> str:
    """Return the key under which failures of an address are counted: an IPv6 network has 2^64 addresses."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip_network((ip, 64), strict=False))


MIN_LENGTH = 8
MAX_LENGTH = 1024

# 19 MiB, two passes, one lane: the minimum that OWASP recommends, because the daemon is only a few times larger
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
AT_ONCE = 2
"""How many passwords are hashed at a time; each takes 19 MiB."""
_TURNS = threading.BoundedSemaphore(AT_ONCE)


def hash_password(password: str) -> str:
    """Return the hash of a password, for storage."""
    with _TURNS:
        return _HASHER.hash(password)


def matches(password: str, password_hash: str | None) -> bool:
    """Return whether a password has this hash; None takes as long and returns False."""
    with _TURNS:
        try:
            _HASHER.verify(password_hash or _NOBODYS, password)
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Return whether a hash was made with other costs than the present ones."""
    return _HASHER.check_needs_rehash(password_hash)


_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$KlYezsa5Qb7z27uaxUEZgg$gLSUXAyEudcZrhzk4NQ3KdefOR98B4kfcHMRDlxCt2Q"
"""A hash of random bytes that are stored nowhere: an unknown name must not be answered faster than a known one."""
