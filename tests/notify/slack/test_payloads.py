"""Whatever Slack's socket brings is an act of a person, or nothing."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from balancebot.notify.slack.blocks import ActionId
from balancebot.notify.slack.payloads import parse_envelope
from tests.notify.slack.envelopes import click, command

ODD: st.SearchStrategy[object] = st.one_of(
    st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=1), st.just({})
)


def _paths(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, held in inner for found in _paths(held, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], odd: object) -> Any:
    if not path:
        return odd
    key, *rest = path
    copy = value.copy()
    copy[key] = _with(value[key], tuple(rest), odd)
    return copy


@settings(max_examples=300)
@given(st.data())
def test_one_odd_value_anywhere_makes_no_fault_of_ours(data: st.DataObject) -> None:
    envelope = data.draw(st.sampled_from([command("why acme"), click(ActionId.ACKNOWLEDGE, "1")]))
    path = data.draw(st.sampled_from(_paths(envelope)[1:]))
    act = parse_envelope(_with(envelope, path, data.draw(ODD)))
    if act is not None:
        assert isinstance(act.person.named, str)
        assert act.person.named.isprintable()
        assert isinstance(act.reply_to.url, str)
        assert isinstance(act.reply_to.channel, str)
