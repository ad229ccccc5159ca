"""What a channel's folder registers, and what it is given to make its channel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from balancebot.config.declare import ChannelSection
from balancebot.ports import Channel, Clock

if TYPE_CHECKING:
    from balancebot.notify.render import Renderer

Show: TypeAlias = Callable[[str], None]
"""Shows text to somebody at a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelContext:
    """What a channel may need besides its section of the configuration."""

    renderer: "Renderer"
    clock: Clock
    known_ids: Callable[[str], Mapping[str, str]]
    """Returns the ids that the addresses of a channel had of late, for a channel that resolves names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredChannel:
    """One kind of channel. Both functions import what they need, so that a command which sends nothing starts quickly."""

    section: type[ChannelSection]
    """A channel whose section is one of these is of this kind."""
    build: Callable[[str, Any, ChannelContext], Channel]
    """Makes the channel of a name from its section; it connects to nothing yet."""
    preview: Callable[[Any, ChannelContext, Show], Channel]
    """Makes one that shows each message as its reader would see it, and sends nothing."""


def posting_preview(section: object, context: ChannelContext, show: Show) -> Channel:
    """Make the preview of a channel that only posts: title and text."""
    from balancebot.notify.preview import PreviewPosts  # lazy: only the demo shows messages

    return PreviewPosts(type(section).__name__.removesuffix("Config"), context.renderer, show)
