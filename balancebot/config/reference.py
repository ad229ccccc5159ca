"""The reference of all keys and the template of `init`, both made from the declarations of the sections."""

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill

from balancebot.config.declare import ChannelKind, ChannelRegistration, KeySpec, TableSpec, declared
from balancebot.config.settings import CHANNELS, Settings

_COMMENT_COLUMN = 36
"""The column in which the template's comments begin, if the key isn't longer."""

_MAX_WIDTH = 120
"""If a comment would make its line longer, it gets the line above."""

_TEMPLATE_HEAD = """\
# The configuration of balancebot. A line that begins with # is a default, or an example where there is none: remove
# the # and change it. Durations are written 30s, 5m, 36h, 7d. Every secret may be written "env:NAME" (an environment
# variable), "file:PATH" (a file) or as it is. Relative paths begin at this file. `balancebot config reference` lists
# all keys.
"""

_INTRODUCTION = """\
The configuration is one TOML file: `--config FILE`, else `$BALANCEBOT_CONFIG`, else `./balancebot.toml`. \
`balancebot init` writes one with every key in it, `balancebot check` tries it. Only an account's `name` and one key \
pair are required.

- **Durations** are written `"30s"`, `"5m"`, `"36h"`, `"7d"`.
- **Secrets** are written `"env:NAME"` (an environment variable), `"file:PATH"` (a file; a line break at its end is \
dropped) or literally. They are read only by commands that need them, and never shown.
- **Paths** are relative to the configuration file.
- **Patterns** name balances: `acme/checkout:industry`, `acme/*:market`, `*:voice`. `acme` is the shared pool only, \
`acme/*` its apps only, `*` everything.

A file with a fault is refused before anything else happens: exit status 2, and one line per fault on stderr that \
names the file, the key and, for a misspelt key, the nearest known one.
"""


def template(
    filled: Mapping[str, str | bool] | None = None, *, channels: Sequence[ChannelRegistration] = CHANNELS
) -> str:
    """Return the commented configuration that `init` writes, ready to be filled in.

    What is required comes first and isn't commented out, and neither is what `filled` names: `{"slack.channel":
    "#ops"}`, or `accounts.name` for a key of `[[accounts]]`. Everything else is commented out.
    """
    filled = filled or {}
    keys, tables = _split(Settings, channels)
    parts = [_TEMPLATE_HEAD, "".join(_template_line(key, filled.get(key.name)) for key in keys)]
    tables.sort(key=lambda table: not table.required)
    parts += [part for table in tables for part in _template_table(table, "", filled, channels)]
    return "\n".join(parts)


def _template_table(
    table: TableSpec, place: str, filled: Mapping[str, str | bool], channels: Sequence[ChannelRegistration]
) -> Iterator[str]:
    """Yield a table, then the tables inside it."""
    path = f"{place}{table.name}"
    keys, inner = _split(table.section, channels)
    values = {key.name: filled.get(f"{path}.{key.name}") for key in keys}
    is_on = table.required or any(values.values())
    off = "" if is_on else "#"
    heading = f"{off}[[{path}]]" if table.many else f"{off}[{path}]"
    lines = [f"# {_about(table.section)}\n"]
    lines += [f"# {kind.kind}: {_about(kind.section)}\n" for kind in _kinds(table, channels)]
    lines.append(heading + "\n")
    lines += [_template_line(key, values[key.name], switched_on=is_on) for key in keys]
    yield "".join(lines)
    for inner_table in inner:
        yield from _template_table(inner_table, f"{path}.", filled, channels)


def _template_line(key: KeySpec, value: str | bool | None, *, switched_on: bool = False) -> str:
    off = "" if value or (switched_on and (key.required or key.filled_in)) else "#"
    if key.instead_of and not value:
        off = f"# instead of {key.instead_of}: "
    written = f"{off}{key.name} = {toml(value) if value else key.example or toml(key.default)}"
    note = f"; default: {key.default_note}" if key.default_note else ""
    comment = f"# {key.doc}{note}"
    line = f"{written:<{_COMMENT_COLUMN - 1}} {comment}"
    return f"{comment}\n{written}\n" if len(line) > _MAX_WIDTH else f"{line}\n"


def reference_markdown(channels: Sequence[ChannelRegistration] = CHANNELS) -> str:
    """Return docs/configuration.md."""
    head = (
        "# Configuration\n\n"
        "<!-- Made by `balancebot config reference --format md`: change the declarations in balancebot/config/. -->\n\n"
        f"{_INTRODUCTION}"
    )
    parts = [head]
    for heading, about, keys in _sections(channels):
        parts.append(f"\n## {heading}\n\n{about}\n")
        if keys:
            rows = "".join(
                f"| `{key.name}` | {_cell(key.kind.label)} | {_cell(_default(key))} | {_cell(key.doc)} |\n"
                for key in keys
            )
            parts.append(f"\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n{rows}")
    return "".join(parts)


def reference_text(channels: Sequence[ChannelRegistration] = CHANNELS) -> str:
    """Return the reference for a terminal."""
    introduction = (
        fill(line, 100, subsequent_indent="  ") for line in _INTRODUCTION.replace("**", "").splitlines()
    )
    parts = ["\n".join(introduction) + "\n"]
    for heading, about, keys in _sections(channels):
        lines = [f"{heading.replace('`', '')}  {about}\n"]
        for key in keys:
            lines.append(f"  {key.name:<18} {key.doc}\n")
            lines.append(f"  {'':<18} {key.kind.label}; default: {_default(key).replace('`', '')}\n")
        parts.append("".join(lines))
    return "\n".join(parts)


def _sections(channels: Sequence[ChannelRegistration]) -> Iterator[tuple[str, str, Sequence[KeySpec]]]:
    """Yield the heading, description and keys of every section, in the order of the file."""
    keys, tables = _split(Settings, channels)
    yield "Top of the file", "Keys before any section.", keys
    for table in tables:
        yield from _nested_sections(table, "", channels)


def _nested_sections(
    table: TableSpec, place: str, channels: Sequence[ChannelRegistration]
) -> Iterator[tuple[str, str, Sequence[KeySpec]]]:
    path = f"{place}{table.name}"
    keys, inner = _split(table.section, channels)
    number = " At least one." if table.required else " Any number." if table.many else ""
    absent = " Absent: off." if table.optional else ""
    kinds = "".join(f"\n- `{kind.kind}`: {_about(kind.section)}" for kind in _kinds(table, channels))
    about = _about(table.section) + number + absent + (f"\n{kinds}" if kinds else "")
    yield f"`[[{path}]]`" if table.many else f"`[{path}]`", about, keys
    for inner_table in inner:
        yield from _nested_sections(inner_table, f"{path}.", channels)


def _split(section: type, channels: Sequence[ChannelRegistration]) -> tuple[list[KeySpec], list[TableSpec]]:
    """Return the keys and the tables of a section separately: TOML needs the keys first."""
    specs = declared(section, channels)
    return (
        [spec for spec in specs if isinstance(spec, KeySpec)],
        [spec for spec in specs if isinstance(spec, TableSpec)],
    )


def _kinds(table: TableSpec, channels: Sequence[ChannelRegistration]) -> list[ChannelKind]:
    return [channel for channel in channels if isinstance(channel, ChannelKind)] if table.by_kind else []


def _about(section: type) -> str:
    return " ".join((section.__doc__ or "").partition("\n\n")[0].split())


def _default(key: KeySpec) -> str:
    if key.required:
        return "required"
    if key.default_note:
        return key.default_note
    return "none" if key.default is None else f"`{toml(key.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def toml(value: object) -> str:
    """Return a default or an example as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            entries = ", ".join(f"{key} = {toml(item)}" for key, item in value.items())
            return f"{{ {entries} }}" if entries else "{}"
        case _:
            return str(value)
