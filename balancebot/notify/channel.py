"""What the folder of a channel registers, and what is passed to it to make the channel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from balancebot.config.declare import ChannelSection
from balancebot.domain.message import MessageRef, OutgoingMessage
from balancebot.domain.sentence import clean_text
from balancebot.ports import MAX_FOREIGN, Capabilities, Channel, ChannelError, Clock, Finding

if TYPE_CHECKING:
    from balancebot.notify.render import Renderer

Show: TypeAlias = Callable[[str], None]
"""Shows text to somebody at a terminal."""

_MAX_FINDING = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelContext:
    """What a channel may need in addition to its section of the configuration."""

    renderer: "Renderer"
    clock: Clock
    known_ids: Callable[[str], Mapping[str, str]]
    """Returns the last known ids of a channel's addresses, for a channel that resolves names."""
    redact: Callable[[str], str]
    """Hides secrets in a channel's errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredChannel:
    """One kind of channel. Both functions import lazily, so that commands that send nothing start quickly."""

    section: type[ChannelSection]
    """The type of the configuration section of such channels."""
    build: Callable[[str, Any, ChannelContext], Channel]
    """Makes a channel from its name and section, without connecting to anything yet."""
    preview: Callable[[Any, ChannelContext, Show], Channel]
    """Makes a channel that shows each message as its reader would see it, and sends nothing."""


class RedactedChannel:
    """Wraps a channel: shortens its errors and findings and hides secrets, because services repeat what they were sent."""

    def __init__(self, channel: Channel, redact: Callable[[str], str]) -> None:
        self.channel = channel
        self._redact = redact

    @property
    def capabilities(self) -> Capabilities:
        """What the channel can do in addition to posting."""
        return self.channel.capabilities

    @property
    def name(self) -> str:
        """Its configured name."""
        return self.channel.name

    def send(
        self, outgoing: OutgoingMessage, *, holds_claim: Callable[[], bool]
    ) -> MessageRef | ChannelError:
        """Send a message."""
        answer = self.channel.send(outgoing, holds_claim=holds_claim)
        return self._redacted(answer) if isinstance(answer, ChannelError) else answer

    def find(
        self, outgoing: OutgoingMessage, *, after: MessageRef | None
    ) -> Sequence[MessageRef] | ChannelError:
        """Search the destination for a message."""
        answer = self.channel.find(outgoing, after=after)
        return self._redacted(answer) if isinstance(answer, ChannelError) else answer

    def delete(self, ref: MessageRef) -> ChannelError | None:
        """Delete a message."""
        error = self.channel.delete(ref)
        return None if error is None else self._redacted(error)

    def check(self, destinations: Sequence[str]) -> list[Finding]:
        """Check what can be checked without sending anything."""
        return [
            replace(finding, words=clean_text(self._redact(finding.words), at_most=_MAX_FINDING))
            for finding in self.channel.check(destinations)
        ]

    def close(self) -> None:
        """Close its connections."""
        self.channel.close()

    def _redacted(self, error: ChannelError) -> ChannelError:
        def change(text: str) -> str:
            return clean_text(self._redact(text), at_most=MAX_FOREIGN)

        return replace(error, message=error.message.mapped(change))


def posting_preview(section: object, context: ChannelContext, show: Show) -> Channel:
    """Make the preview of a channel that only posts: title and text."""
    from balancebot.notify.preview import PreviewPosts  # lazy: only the demo shows messages

    return PreviewPosts(type(section).__name__.removesuffix("Config"), context.renderer, show)
