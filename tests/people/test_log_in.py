"""Log-ins: sessions expire, guesses are throttled, and only the browser has the token of a session."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from balancebot.config import Secret
from balancebot.domain.audit import Actor, Via
from balancebot.domain.user import Role
from balancebot.people import users
from balancebot.people.log_in import (
    IDLE,
    LONGEST,
    PAUSE,
    LoggedIn,
    LogIn,
    LogInRefused,
    LogInThrottled,
    counted_address,
)
from balancebot.store import installation, tables
from balancebot.store import users as store
from balancebot.store.database import Database

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
CLI = Actor(name="root", via=Via.CLI)
RIGHT = "a long secret"


@pytest.fixture
def desk(database: Database) -> LogIn:
    users.add_user(database, name="finance", role=Role.FINANCE, password=RIGHT, by=CLI, now=NOW)
    return LogIn(database, Secret("key"))


def guess(
    desk: LogIn,
    password: str,
    *,
    name: str = "finance",
    address: str = "192.0.2.1",
    after: timedelta = timedelta(0),
    browser: Secret | None = None,
) -> LoggedIn | LogInRefused | LogInThrottled:
    return desk.log_in(name=name, password=password, address=address, now=NOW + after, browser=browser)


def enter(desk: LogIn, after: timedelta = timedelta(0)) -> Secret:
    outcome = guess(desk, RIGHT, after=after)
    assert isinstance(outcome, LoggedIn)
    return outcome.token


def make_cheap(database: Database, name: str) -> None:
    """Store a hash of the right password that is checked in no time, until the user logs in: for hundreds of guesses."""
    with database.write() as conn:
        store.set_password_hash(
            conn, name, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(RIGHT)
        )


def test_the_right_password_starts_a_session_that_log_out_ends(desk: LogIn) -> None:
    token = enter(desk)
    session = desk.session(token, now=NOW)
    assert session is not None
    assert ("finance", Role.FINANCE) == (session.user.name, session.user.role)

    desk.log_out(token)
    assert desk.session(token, now=NOW) is None


def test_a_wrong_password_and_an_unknown_name_get_the_same_refusal(desk: LogIn) -> None:
    assert LogInRefused() == guess(desk, "wrong")
    assert LogInRefused() == guess(desk, RIGHT, name="nobody")


def test_the_sixth_guess_is_not_checked_for_a_minute(desk: LogIn) -> None:
    for _ in range(5):
        assert LogInRefused() == guess(desk, "wrong")
    assert LogInThrottled(retry_after=PAUSE) == guess(desk, RIGHT)
    assert isinstance(guess(desk, RIGHT, after=PAUSE), LoggedIn)


def test_further_guesses_are_checked_once_a_minute(desk: LogIn) -> None:
    outcomes = [guess(desk, "wrong", after=timedelta(seconds=number)) for number in range(300)]
    assert 5 + 4 == outcomes.count(LogInRefused())


def test_setting_the_clock_back_locks_nobody_out(desk: LogIn) -> None:
    for _ in range(6):
        guess(desk, "wrong", after=timedelta(days=60))
    assert LogInThrottled(retry_after=PAUSE) == guess(desk, RIGHT)


def test_guesses_from_one_address_do_not_lock_out_other_addresses(desk: LogIn) -> None:
    for _ in range(10):
        guess(desk, "wrong", address="192.0.2.66")
    assert isinstance(guess(desk, RIGHT), LoggedIn)


def test_guesses_from_many_addresses_do_not_lock_out_an_address_without_guesses(
    desk: LogIn, database: Database
) -> None:
    before = guess(desk, RIGHT)
    assert isinstance(before, LoggedIn)
    make_cheap(database, "finance")
    for number in range(60):
        guess(desk, "wrong", address=f"192.0.2.{number // 4}")
    # each of their addresses has already guessed, so that it isn't checked for a while
    assert isinstance(guess(desk, RIGHT, address="192.0.2.2"), LogInThrottled)
    assert isinstance(guess(desk, RIGHT, address="198.51.100.1"), LoggedIn)
    assert isinstance(guess(desk, RIGHT, address="192.0.2.2", browser=before.browser), LoggedIn)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_as_its_network(address: str, counted: str) -> None:
    assert counted == counted_address(address)


def test_guesses_from_one_ipv6_network_are_counted_together(desk: LogIn) -> None:
    outcomes = [guess(desk, "wrong", address=f"2001:db8::{number:x}") for number in range(20)]
    assert 5 == outcomes.count(LogInRefused())


def test_guesses_at_the_present_password_are_throttled_until_a_right_one(desk: LogIn) -> None:
    def confirm(password: str, **after: float) -> object:
        return desk.confirm(name="finance", password=password, now=NOW + timedelta(**after))

    outcomes = [confirm("wrong") for _ in range(60)]
    assert 5 == outcomes.count(LogInRefused())
    assert LogInThrottled(retry_after=PAUSE) == confirm(RIGHT)
    assert isinstance(guess(desk, RIGHT), LoggedIn)
    assert [True, LogInRefused()] == [confirm(RIGHT, minutes=1), confirm("wrong", minutes=1)]


def test_the_log_has_the_name_only_of_an_existing_user(desk: LogIn) -> None:
    known, unknown = guess(desk, "wrong"), guess(desk, "wrong", name="my secret password")
    assert isinstance(known, LogInRefused)
    assert isinstance(unknown, LogInRefused)
    assert ("finance", "") == (known.user, unknown.user)


def test_a_known_browser_has_the_same_limit_and_only_for_its_user(desk: LogIn, database: Database) -> None:
    users.add_user(database, name="admin", role=Role.ADMIN, password=RIGHT, by=CLI, now=NOW)
    make_cheap(database, "admin")
    before = guess(desk, RIGHT)
    assert isinstance(before, LoggedIn)
    for _ in range(5):
        assert LogInRefused() == guess(desk, "wrong", browser=before.browser)
    assert LogInThrottled(retry_after=PAUSE) == guess(desk, RIGHT, browser=before.browser)

    forged = Secret(before.browser.reveal().replace(".", "x.", 1))
    for browser in (before.browser, forged, Secret("."), Secret("")):
        for number in range(60):
            guess(desk, "wrong", name="admin", address=f"192.0.2.{number // 4}")
        assert isinstance(guess(desk, RIGHT, name="admin", browser=browser), LogInThrottled)


def test_one_address_that_tries_many_names_is_throttled(desk: LogIn) -> None:
    for number in range(20):
        guess(desk, "wrong", name=f"user{number}")
    assert isinstance(guess(desk, RIGHT), LogInThrottled)


def test_concurrent_guesses_do_not_bypass_the_limit(desk: LogIn) -> None:
    with ThreadPoolExecutor(12) as crowd:
        outcomes = list(crowd.map(lambda _: guess(desk, "wrong"), range(12)))
    assert 5 == outcomes.count(LogInRefused())


def test_a_success_resets_the_failures(desk: LogIn) -> None:
    for _ in range(4):
        guess(desk, "wrong")
    enter(desk)
    for _ in range(4):
        assert LogInRefused() == guess(desk, "wrong")


def test_a_session_ends_when_unused_and_after_two_weeks_at_most(desk: LogIn) -> None:
    token = enter(desk)
    assert desk.session(token, now=NOW + IDLE) is None

    token, at = enter(desk), NOW
    while at < NOW + LONGEST - IDLE:
        at += IDLE - timedelta(minutes=10)
        assert desk.session(token, now=at) is not None
    assert desk.session(token, now=NOW + LONGEST) is None


def test_a_new_password_a_removal_and_a_revocation_end_every_session(desk: LogIn, database: Database) -> None:
    token = enter(desk)
    users.set_password(database, name="finance", password=RIGHT, by=CLI, now=NOW)
    assert desk.session(token, now=NOW) is None

    first, second = enter(desk), enter(desk)
    keep = desk.session(first, now=NOW)
    assert keep is not None
    users.end_sessions(database, name="finance", by=CLI, now=NOW, but=keep.id)
    assert desk.session(second, now=NOW) is None
    assert keep == desk.session(first, now=NOW)

    users.remove_user(database, name="finance", by=CLI, now=NOW)
    assert desk.session(first, now=NOW) is None


def test_a_removed_role_has_no_effect_from_the_next_request_on(desk: LogIn, database: Database) -> None:
    token = enter(desk)
    users.set_role(database, name="finance", role=Role.VIEWER, by=CLI, now=NOW)
    session = desk.session(token, now=NOW)
    assert session is not None
    assert Role.VIEWER is session.user.role


def test_the_database_contains_neither_tokens_nor_their_key(desk: LogIn, database: Database) -> None:
    token = enter(desk)
    with database.read() as conn:
        stored = conn.scalar(select(tables.sessions.c.token_hash))
    assert token.reveal() != stored
    assert LogIn(database, Secret("another key")).session(token, now=NOW) is None


def test_the_key_of_a_database_is_created_once(database: Database) -> None:
    with database.write() as conn:
        first = installation.session_key(conn, now=NOW)
        again = installation.session_key(conn, now=NOW + PAUSE)
    assert first == again
    assert 64 == len(first)


def test_a_form_token_is_only_valid_in_its_session(desk: LogIn) -> None:
    first, second = enter(desk), enter(desk)
    assert desk.csrf_token(first) == desk.csrf_token(first) != desk.csrf_token(second)


def test_sealed_data_is_opened_unchanged_or_refused(desk: LogIn, database: Database) -> None:
    sealed = desk.sealed("state.and more")
    assert "state.and more" == desk.unsealed(sealed)
    for forged in (
        sealed.replace("more", "less"),
        "state.and more",
        "",
        LogIn(database, Secret("other")).sealed("x"),
    ):
        assert desk.unsealed(forged) is None
