"""Any payload of Slack's socket is a valid request or ignored."""

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
    return [path, *(found for key, inner_values in inner for found in _paths(inner_values, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], unexpected: object) -> Any:
    if not path:
        return unexpected
    key, *rest = path
    copy = value.copy()
    copy[key] = _with(value[key], tuple(rest), unexpected)
    return copy


@settings(max_examples=300)
@given(st.data())
def test_an_unexpected_value_anywhere_raises_no_exception(data: st.DataObject) -> None:
    envelope = data.draw(st.sampled_from([command("why acme"), click(ActionId.ACKNOWLEDGE, "1")]))
    path = data.draw(st.sampled_from(_paths(envelope)[1:]))
    act = parse_envelope(_with(envelope, path, data.draw(ODD)))
    if act is not None:
        assert isinstance(act.person.named, str)
        assert act.person.named.isprintable()
        assert isinstance(act.reply_to.url, str)
        assert isinstance(act.reply_to.channel, str)
