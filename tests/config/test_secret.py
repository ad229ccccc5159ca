"""The value of a secret can only be read with `reveal`."""

import copy
import dataclasses
import pickle

import pytest

from balancebot.config import Secret


@dataclasses.dataclass(frozen=True)
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "shown", [str, repr, "{}".format, "{:>8}".format, "{!r}".format, lambda secret: repr(Holder(secret))]
)
def test_a_secret_is_printed_as_stars(shown):
    words = shown(Secret("hunter2"))
    assert ("***" in words, "hunter2" in words) == (True, False)


def test_a_secret_is_not_pickled():
    with pytest.raises(TypeError, match="not written down"):
        pickle.dumps(Secret("hunter2"))
    with pytest.raises(TypeError, match="not written down"):
        copy.deepcopy(Secret("hunter2"))


def test_secrets_are_equal_by_value_and_never_to_a_plain_string():
    assert Secret("hunter2") == Secret("hunter2")
    assert Secret("hunter2") != Secret("hunter3")
    assert Secret("hunter2") != "hunter2"


def test_reveal_gives_the_value():
    assert "hunter2" == Secret("hunter2").reveal()
