"""How a section of the configuration is declared: each key once, on the frozen dataclass that holds the values.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class RetentionConfig(ConfigSection):
        \"\"\"How long readings are kept.\"\"\"

        raw: timedelta = key(values.duration(at_least=DAY), "every reading", default="35d")

The parser, the template of `init` and the reference are all made from the declaration. A default is written as in the
file. The first paragraph of the class's docstring describes the section to users.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Self, TypeVar, overload

from balancebot.config.secrets import ConfigContext
from balancebot.config.toml_table import TomlTable
from balancebot.config.values import Kind, list_of, word_of

T = TypeVar("T")
S = TypeVar("S", bound="ConfigSection")

_SPEC = "balancebot.config"
"""The key of a field's metadata that holds its declaration."""


class ConfigSection:
    """A table of the configuration. `key`, `table`, `optional_table`, `tables` and `per_channel` make its fields."""

    __slots__ = ()

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Check keys that depend on each other, and return the section with derived values filled in.

        Record faults on `table`, which also knows which keys the file has. This is called even if a key is missing or
        unfit: the key then has its default, or None if it has no default.
        """
        return self


class ChannelSection(ConfigSection):
    """The section of a channel."""

    __slots__ = ()

    @property
    def default_destinations(self) -> tuple[str, ...]:
        """Return the destinations of alerts that no route sends elsewhere."""
        return ()

    @property
    def own_destinations(self) -> tuple[str, ...]:
        """Return the destinations of a test message: the defaults, or the one destination that the channel has."""
        return self.default_destinations

    @property
    def can_edit(self) -> bool:
        """Return whether a sent message can be edited."""
        return False

    @property
    def can_reply(self) -> bool:
        """Return whether the channel can reply to a message in a thread."""
        return False

    def destination_fault(self, destinations: Sequence[str]) -> str | None:  # noqa: ARG002
        """Return what is wrong with the destinations that a route or digest names, or None."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """One key."""

    name: str
    """As in the file; '' = the name of the field."""
    kind: Kind[Any]
    doc: str
    """One line for users, without a full stop; the template shows it as a comment."""
    required: bool = False
    default: object = None
    """As written in the file; None = no default."""
    default_note: str = ""
    """What an absent key means, if that isn't a constant."""
    example: str = ""
    """A value as TOML, for keys without a default or with a default that shows little."""
    unique: bool = False
    """Two tables of one array must not have the same value."""
    inherited: bool = False
    """If the key is absent, the key of the same name at the top of the file gives the value."""
    instead_of: str = ""
    """The key that the template shows in place of this one: only one of the two can be used."""
    filled_in: bool = False
    """The template shows the key as if it were required, because this key or a similar one must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """One table, or one array of tables."""

    name: str
    section: type[ConfigSection]
    many: bool = False
    optional: bool = False
    """An absent table is None, not a section of defaults."""
    required: bool = False
    """There must be at least one."""
    by_kind: bool = False
    """The key `kind` of a table chooses its section (see `ChannelKind`); `section` has the shared keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """What a channel registers with the configuration: its section, and its keys in routes, escalations and digests."""

    name: str
    """Also the name of its section, `[slack]`, and of its key in routes."""
    section: type[ChannelSection]
    destination: Kind[str]
    destinations: str
    """What users call its destinations: "Slack channels"."""
    example: str
    """A list of destinations, as TOML."""
    digest_key: str

    def table(self) -> TableSpec:
        """Return the declaration of its section."""
        return TableSpec(name=self.name, section=self.section, optional=True)

    def route_key(self) -> KeySpec:
        """Return the declaration of its key in `[[routes]]`."""
        return KeySpec(
            name=self.name,
            kind=list_of(self.destination, self.destinations),
            doc=f"{self.destinations} that get the alert; [] = none",
            default_note=f"as [{self.name}] says",
            example=self.example,
        )

    def escalation_key(self) -> KeySpec:
        """Return the declaration of its key in `[[escalations]]`."""
        return KeySpec(
            name=self.name,
            kind=list_of(self.destination, self.destinations),
            doc=f"{self.destinations} that get the alert",
            example=self.example,
        )

    def digest_table_key(self) -> KeySpec:
        """Return the declaration of its key in `[[digests]]`."""
        return KeySpec(
            name=self.digest_key,
            kind=list_of(self.destination, self.destinations),
            doc=f"{self.destinations} that it is sent to",
            example=self.example,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKind:
    """What a kind of `[[channels]]` registers with the configuration."""

    kind: str
    section: type[ConfigSection]
    """A subclass of the section with the shared keys."""


ChannelRegistration = ChannelConfig | ChannelKind

Spec = KeySpec | TableSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PerChannel:
    """A field that maps the channels in the file to their values; each channel declares its key or table."""

    spec: Callable[[ChannelConfig], Spec]
    needed: str = ""
    """The fault if none of these keys is there, nor any key of `or_keys`."""
    or_keys: tuple[str, ...] = ()


@overload
def key(
    kind: Kind[T],
    doc: str,
    *,
    default: None,
    default_note: str = ...,
    example: str,
    name: str = ...,
    instead_of: str = ...,
    filled_in: bool = ...,
) -> T | None: ...
@overload
def key(
    kind: Kind[T],
    doc: str,
    *,
    default: object,
    default_note: str = ...,
    example: str = ...,
    name: str = ...,
    inherited: bool = ...,
) -> T: ...
@overload
def key(kind: Kind[T], doc: str, *, example: str, name: str = ..., unique: bool = ...) -> T: ...
def key(kind: Kind[Any], doc: str, **options: Any) -> Any:
    """Declare a key. Without `default` it is required; `default=None` makes it optional without a value."""
    required = "default" not in options
    spec = KeySpec(**{"name": "", "kind": kind, "doc": doc, "required": required, **options})
    if required:
        return field(metadata={_SPEC: spec})
    usual = None if spec.default is None else kind(spec.default)
    return field(default_factory=lambda: usual, metadata={_SPEC: spec})


def table(section: type[S]) -> S:
    """Declare a table whose keys all have defaults; if the table is absent, they are used."""
    spec = TableSpec(name="", section=section)
    made: S = field(default_factory=section, metadata={_SPEC: spec})
    return made


def optional_table(section: type[S]) -> S | None:
    """Declare a table that is None if it is absent."""
    spec = TableSpec(name="", section=section, optional=True)
    made: S | None = field(default=None, metadata={_SPEC: spec})
    return made


def tables(section: type[S], *, required: bool = False, by_kind: bool = False) -> tuple[S, ...]:
    """Declare an array of tables, `[[name]]`. `required`: at least one; `by_kind`: see `TableSpec`."""
    spec = TableSpec(name="", section=section, many=True, required=required, by_kind=by_kind)
    made: tuple[S, ...] = field(default=(), metadata={_SPEC: spec})
    return made


def per_channel(
    spec: Callable[[ChannelConfig], Spec], *, needed: str = "", or_keys: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Declare what each channel adds; the field maps the channels that the file names to their values."""
    metadata = {_SPEC: PerChannel(spec=spec, needed=needed, or_keys=or_keys)}
    made: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), metadata=metadata)
    return made


def declared(section: type[ConfigSection], channels: Sequence[ChannelRegistration]) -> list[Spec]:
    """Return what a section declares, in order, including what each of `channels` adds."""
    found: list[Spec] = []
    for _, spec in _specs(section):
        if isinstance(spec, PerChannel):
            found += [spec.spec(channel) for channel in channels if isinstance(channel, ChannelConfig)]
        else:
            found.append(spec)
    return found


def _specs(section: type[ConfigSection]) -> list[tuple[str, Spec | PerChannel]]:
    """Return each declared field with its declaration, which has its name."""
    found: list[tuple[str, Spec | PerChannel]] = []
    for declared_field in fields(section):  # type: ignore[arg-type]
        spec = declared_field.metadata.get(_SPEC)
        if isinstance(spec, KeySpec | TableSpec) and not spec.name:
            spec = replace(spec, name=declared_field.name)
        if spec is not None:
            found.append((declared_field.name, spec))
    return found


class SectionReader:
    """Reads the sections of one file and records every fault on their tables."""

    def __init__(self, context: ConfigContext, channels: Sequence[ChannelRegistration]) -> None:
        self._context = context
        self._channels = [channel for channel in channels if isinstance(channel, ChannelConfig)]
        self._kinds = {
            channel.kind: channel.section for channel in channels if isinstance(channel, ChannelKind)
        }
        self._top: dict[str, object] = {}
        """The values of the keys at the top of the file, by name, for keys that inherit them."""
        self._specs: dict[type[ConfigSection], list[tuple[str, Spec | PerChannel]]] = {}
        """Kept, because a file may have thousands of tables of one section."""

    def read_root(self, section: type[S], table: TomlTable, **known: object) -> S:
        """Read the file's top table. `known` are the fields of `section` that don't come from the file."""
        return self._read(section, table, {}, known, is_root=True)

    def _read(
        self,
        section: type[S],
        table: TomlTable,
        taken: dict[object, str],
        known: Mapping[str, object] = MappingProxyType({}),
        *,
        is_root: bool = False,
    ) -> S:
        found = dict(known)
        if section not in self._specs:
            self._specs[section] = _specs(section)
        for attribute, spec in self._specs[section]:
            match spec:
                case KeySpec():
                    found[attribute] = self._value(spec, table, taken)
                    if is_root:
                        self._top[spec.name] = found[attribute]
                case TableSpec():
                    found[attribute] = self._table(spec, table)
                case PerChannel():
                    found[attribute] = self._each_channel(spec, table)
        return section(**found).checked(table, self._context)

    def _value(self, spec: KeySpec, table: TomlTable, taken: dict[object, str]) -> object:
        if spec.unique:
            return table.need_unique(spec.name, self._parser(spec), None, taken=taken)
        if spec.required:
            return table.need(spec.name, self._parser(spec), None)
        return table.take(spec.name, self._parser(spec), self._default(spec))

    def _parser(self, spec: KeySpec) -> Callable[[object], object]:
        return lambda value: spec.kind.read(value, self._context)

    def _default(self, spec: KeySpec) -> object:
        if spec.inherited and spec.name in self._top:
            return self._top[spec.name]
        return None if spec.default is None else spec.kind.read(spec.default, self._context)

    def _table(self, spec: TableSpec, table: TomlTable) -> object:
        if spec.many:
            taken: dict[object, str] = {}
            opened = table.tables(spec.name, needed=spec.required)
            return tuple(self._read(self._section_of(spec, item), item, taken) for item in opened)
        if not spec.optional:
            return self._read(spec.section, table.section(spec.name), {})
        present = table.table(spec.name)
        return None if present is None else self._read(spec.section, present, {})

    def _section_of(self, spec: TableSpec, table: TomlTable) -> type[ConfigSection]:
        """Return the section of one table of an array; an unknown kind is a fault and gives the shared section."""
        if not spec.by_kind or not isinstance(table.take("kind", lambda value: value, None), str):
            return spec.section
        return table.take("kind", word_of(self._kinds), spec.section)

    def _each_channel(self, per_channel: PerChannel, table: TomlTable) -> Mapping[str, object]:
        found: dict[str, object] = {}
        specs = {channel.name: per_channel.spec(channel) for channel in self._channels}
        for channel, spec in specs.items():
            if not table.has(spec.name):
                continue
            value = (
                self._table(spec, table)
                if isinstance(spec, TableSpec)
                else table.take(spec.name, self._parser(spec), ())
            )
            if value is not None:
                found[channel] = value
        names = (*(spec.name for spec in specs.values()), *per_channel.or_keys)
        if per_channel.needed and not table.has_any(*names):
            keys = " or ".join(f"`{name}`" for name in names)
            table.fault("", f"{per_channel.needed}: it needs {keys}")
        return MappingProxyType(found)
