"""How a section of the configuration is declared: its keys once, on the frozen dataclass that holds their values.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class RetentionConfig(ConfigSection):
        \"\"\"How long readings are kept.\"\"\"

        raw: timedelta = key(values.duration(at_least=DAY), "every reading", default="35d")

From the declaration come the reading with all its faults, the template of `init` and the reference. A default is
written as in the file. The first paragraph of the class's docstring describes the section to users.
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
"""Where the declaration of a field is kept in its metadata."""


class ConfigSection:
    """A table of the configuration; its fields are made by `key`, `table`, `optional_table`, `tables`, `per_channel`."""

    __slots__ = ()

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:  # noqa: ARG002
        """Check how keys depend on each other, and return the section with what follows from other keys filled in.

        Faults are recorded on `table`, which also knows which keys the file has. This runs even when a key is missing
        or unfit: its default, or None where there is none, stands in for it.
        """
        return self


class ChannelSection(ConfigSection):
    """The section of a channel."""

    __slots__ = ()

    @property
    def default_destinations(self) -> tuple[str, ...]:
        """Return where alerts go that no route sends elsewhere."""
        return ()

    @property
    def own_destinations(self) -> tuple[str, ...]:
        """Return where a test goes: the defaults, or the one destination that the channel has."""
        return self.default_destinations

    @property
    def can_edit(self) -> bool:
        """Return whether messages can be edited after they were sent."""
        return False

    @property
    def can_reply(self) -> bool:
        """Return whether a message can be answered in its own thread."""
        return False

    def destination_fault(self, destinations: Sequence[str]) -> str | None:  # noqa: ARG002
        """Return what is wrong with destinations that a route or digest names, or None."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """One key."""

    name: str
    """As the file writes it; '' = as the field is named."""
    kind: Kind[Any]
    doc: str
    """One line for users, without a full stop, as it stands behind the key in the template."""
    required: bool = False
    default: object = None
    """As the file would write it; None = none."""
    default_note: str = ""
    """What an absent key means, where that is no constant."""
    example: str = ""
    """A value as TOML, for keys without a default and those whose default shows little."""
    unique: bool = False
    """No other table of the same array may have the same value."""
    inherited: bool = False
    """An absent key has the value of the key of the same name at the top of the file."""
    instead_of: str = ""
    """The key that stands in the template in place of this one: only one of the two can be used."""
    filled_in: bool = False
    """It stands in the template as if it were required: something like it must be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """One table, or one array of tables."""

    name: str
    section: type[ConfigSection]
    many: bool = False
    optional: bool = False
    """An absent table is None, and not one with all defaults."""
    required: bool = False
    """At least one must be there."""
    by_kind: bool = False
    """The key `kind` of each table chooses the section, which a `ChannelKind` registers; `section` is what they share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """What a channel registers with the configuration: its section, and how routes and digests name destinations."""

    name: str
    """Also the name of its section, `[slack]`, and of the key in routes."""
    section: type[ChannelSection]
    destination: Kind[str]
    destinations: str
    """What its destinations are called: "Slack channels"."""
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
            doc=f"{self.destinations} that are told; [] = none",
            default_note=f"as [{self.name}] says",
            example=self.example,
        )

    def escalation_key(self) -> KeySpec:
        """Return the declaration of its key in `[[escalations]]`."""
        return KeySpec(
            name=self.name,
            kind=list_of(self.destination, self.destinations),
            doc=f"{self.destinations} that are told",
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
    """What a channel registers that is configured as one of the `[[channels]]`."""

    kind: str
    section: type[ConfigSection]
    """A subclass of the section that all of them share."""


ChannelRegistration = ChannelConfig | ChannelKind

Spec = KeySpec | TableSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PerChannel:
    """A field that holds, per channel that the file names, the value of a key or table that the channel declares."""

    spec: Callable[[ChannelConfig], Spec]
    needed: str = ""
    """The fault when none of them is there, and no key of `or_keys`."""
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
    """Declare a key. Without `default` it is required; `default=None` is an optional key without a value."""
    required = "default" not in options
    spec = KeySpec(**{"name": "", "kind": kind, "doc": doc, "required": required, **options})
    if required:
        return field(metadata={_SPEC: spec})
    usual = None if spec.default is None else kind(spec.default)
    return field(default_factory=lambda: usual, metadata={_SPEC: spec})


def table(section: type[S]) -> S:
    """Declare a table whose keys all have defaults: absent, it holds these."""
    spec = TableSpec(name="", section=section)
    made: S = field(default_factory=section, metadata={_SPEC: spec})
    return made


def optional_table(section: type[S]) -> S | None:
    """Declare a table that is None when it is absent."""
    spec = TableSpec(name="", section=section, optional=True)
    made: S | None = field(default=None, metadata={_SPEC: spec})
    return made


def tables(section: type[S], *, required: bool = False, by_kind: bool = False) -> tuple[S, ...]:
    """Declare an array of tables, `[[name]]`; `required`: at least one; `by_kind`: as `TableSpec` says."""
    spec = TableSpec(name="", section=section, many=True, required=required, by_kind=by_kind)
    made: tuple[S, ...] = field(default=(), metadata={_SPEC: spec})
    return made


def per_channel(
    spec: Callable[[ChannelConfig], Spec], *, needed: str = "", or_keys: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Declare what each channel adds here; the field maps the channels that the file names to their values."""
    metadata = {_SPEC: PerChannel(spec=spec, needed=needed, or_keys=or_keys)}
    made: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), metadata=metadata)
    return made


def declared(section: type[ConfigSection], channels: Sequence[ChannelRegistration]) -> list[Spec]:
    """Return what a section declares, in its order, with what each of `channels` adds."""
    found: list[Spec] = []
    for _, spec in _specs(section):
        if isinstance(spec, PerChannel):
            found += [spec.spec(channel) for channel in channels if isinstance(channel, ChannelConfig)]
        else:
            found.append(spec)
    return found


def _specs(section: type[ConfigSection]) -> list[tuple[str, Spec | PerChannel]]:
    """Return each declared field with its declaration, the name filled in."""
    found: list[tuple[str, Spec | PerChannel]] = []
    for declared_field in fields(section):  # type: ignore[arg-type]
        spec = declared_field.metadata.get(_SPEC)
        if isinstance(spec, KeySpec | TableSpec) and not spec.name:
            spec = replace(spec, name=declared_field.name)
        if spec is not None:
            found.append((declared_field.name, spec))
    return found


class SectionReader:
    """Reads the sections of one file, and records every fault on its tables."""

    def __init__(self, context: ConfigContext, channels: Sequence[ChannelRegistration]) -> None:
        self._context = context
        self._channels = [channel for channel in channels if isinstance(channel, ChannelConfig)]
        self._kinds = {
            channel.kind: channel.section for channel in channels if isinstance(channel, ChannelKind)
        }
        self._top: dict[str, object] = {}
        """The values of the keys at the top, by name, for keys that inherit them."""
        self._specs: dict[type[ConfigSection], list[tuple[str, Spec | PerChannel]]] = {}
        """There may be thousands of tables of one section."""

    def read_root(self, section: type[S], table: TomlTable, **known: object) -> S:
        """Read the file's top table; `known` are the fields of `section` that no file holds."""
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
        """Return what a table of an array is read as; an unknown kind is a fault, and read as what all kinds share."""
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
