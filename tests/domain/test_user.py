"""Users, tokens and actors: permissions, expiry, and mentions."""

from datetime import UTC, datetime, timedelta

import pytest

from balancebot.domain.audit import slack_id_of
from balancebot.domain.user import ApiToken, Role, user_name_fault

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_each_role_includes_the_ones_before_it() -> None:
    assert [[True, False, False], [True, True, False], [True, True, True]] == [
        [role.may(needed) for needed in (Role.VIEWER, Role.FINANCE, Role.ADMIN)]
        for role in (Role.VIEWER, Role.FINANCE, Role.ADMIN)
    ]


@pytest.mark.parametrize(
    ("left", "holds"),
    [(None, True), (timedelta(seconds=1), True), (timedelta(), False), (-timedelta(1), False)],
)
def test_a_token_is_valid_until_it_expires(left: timedelta | None, holds: bool) -> None:
    token = ApiToken(
        name="shop",
        role=Role.VIEWER,
        created_at=NOON,
        created_by="Li",
        expires_at=None if left is None else NOON + left,
    )
    assert holds is token.holds(NOON)


@pytest.mark.parametrize("name", ["Li", "李 雷", "x" * 64, "ops@example.com"])
def test_a_name_may_be_in_any_writing_system(name: str) -> None:
    assert user_name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "not empty"),
        (" Li", "no space at its ends"),
        ("Li ", "no space at its ends"),
        ("x" * 65, "at most 64 characters"),
        ("L\x07i", "printable"),
        ("L\u202ei", "printable"),
    ],
)
def test_a_name_that_cannot_be_displayed_is_refused(name: str, fault: str) -> None:
    assert fault in str(user_name_fault(name))


@pytest.mark.parametrize(
    ("name", "mentioned"),
    [
        ("ops (U024BE7LH)", ("U024BE7LH",)),
        ("ops (W024BE)", ("W024BE",)),
        ("ops (U024)", ()),
        ("ops (S0614TZR7)", ()),
        ("(U024BE7LH) ops", ()),
        ("ops (U024BE7LH", ()),
        ("ops", ()),
    ],
)
def test_an_actor_in_slack_is_mentioned_by_the_id_at_the_end(name: str, mentioned: tuple[str, ...]) -> None:
    assert mentioned == slack_id_of(name)
