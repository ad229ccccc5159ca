"""A section is declared once; reading, checking and the reference all follow the declaration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from balancebot.config import ConfigFault, Settings, load, values
from balancebot.config.declare import ChannelConfig, ChannelSection, ConfigSection, SectionReader, key, tables
from balancebot.config.reference import reference_markdown, template
from balancebot.config.secrets import ConfigContext
from balancebot.config.slack import SLACK
from balancebot.config.toml_table import TomlFile, TomlTable, parse_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConfig(ConfigSection):
    """Rooms."""

    name: str = key(values.name, "what it is called", example='"hall"', unique=True)
    seats: int = key(values.whole(at_least=1, at_most=9), "how many seats", default=4, inherited=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseConfig(ConfigSection):
    """A house."""

    seats: int = key(values.whole(at_least=1, at_most=9), "how many seats a room has", default=2)
    class_: str | None = key(values.text, "its class", name="class", default=None, example='"A"')
    rooms: tuple[RoomConfig, ...] = tables(RoomConfig, required=True)

    def checked(self, table: TomlTable, context: ConfigContext) -> Self:
        if table.has("class") and len(self.rooms) > 2:
            table.fault("class", "is for small houses")
        return self


def read(text: str) -> tuple[HouseConfig, list[str]]:
    file = TomlFile(file="house.toml")
    reader = SectionReader(ConfigContext(environ={}, base=Path(), resolve=True), ())
    house = reader.read_root(HouseConfig, file.root(parse_toml(text.encode())))
    file.note_unknown_keys()
    return house, [str(fault).removeprefix("house.toml: ") for fault in file.faults]


def test_a_default_is_declared_as_in_the_file_and_is_also_the_default_in_code() -> None:
    assert (HouseConfig(rooms=(RoomConfig(name="hall", seats=2),)), []) == read('[[rooms]]\nname = "hall"')
    assert 4 == RoomConfig(name="hall").seats


def test_a_key_may_have_another_name_than_its_field() -> None:
    house, faults = read('class = "B"\n[[rooms]]\nname = "hall"')
    assert ("B", []) == (house.class_, faults)


def test_an_inherited_key_takes_the_value_of_the_top_level_key() -> None:
    house, _ = read('seats = 7\n[[rooms]]\nname = "hall"\n[[rooms]]\nname = "attic"\nseats = 1')
    assert [7, 1] == [room.seats for room in house.rooms]


def test_faults_within_keys_and_between_keys_are_reported_together() -> None:
    _, faults = read(
        'class = "A"\nseats = 0\n[[rooms]]\nname = "a"\n[[rooms]]\nname = "a"\n[[rooms]]\nseet = 1'
    )
    assert [
        "seats: must be from 1 to 9",
        "rooms[1].name: 'a' is already the name of rooms[0]",
        "rooms[2].name: is missing",
        "class: is for small houses",
        "rooms[2].seet: is unknown; did you mean seats?",
    ] == faults


@dataclass(frozen=True, slots=True, kw_only=True)
class PigeonConfig(ChannelSection):
    """Carrier pigeons."""

    loft: str = key(values.text, "where they live", example='"roof"')

    @property
    def default_destinations(self) -> tuple[str, ...]:
        return (self.loft,)

    def destination_fault(self, destinations: Sequence[str]) -> str | None:
        return "is too far" if "moon" in destinations else None


PIGEON = ChannelConfig(
    name="pigeon",
    section=PigeonConfig,
    destination=values.text,
    destinations="lofts",
    example='["tower"]',
    digest_key="lofts",
)
WATCHED = '[[accounts]]\nname = "acme"\ndev_key = "k"\ndev_secret = "s"\n'


def loaded(tmp_path: Path, text: str) -> Settings | tuple[ConfigFault, ...]:
    path = tmp_path / "b.toml"
    path.write_text(WATCHED + text)
    return load(path, environ={}, resolve_secrets=True, channels=(SLACK, PIGEON))


def test_a_channel_needs_one_registration(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        '[pigeon]\nloft = "roof"\n[[routes]]\nmatch = "*"\npigeon = ["tower"]\n'
        '[[digests]]\nname = "d"\ncron = "0 9 * * *"\nlofts = ["barn"]\n',
    )
    assert isinstance(settings, Settings)
    assert PigeonConfig(loft="roof") == settings.section(PigeonConfig)
    assert {"pigeon": ("roof",)} == settings.routing.defaults
    assert ("roof", "tower", "barn") == settings.destinations("pigeon")
    for made in (template(channels=(SLACK, PIGEON)), reference_markdown((SLACK, PIGEON))):
        assert "Carrier pigeons." in made
        assert "lofts that it is sent to" in made


def test_a_channel_refuses_invalid_destinations_and_unknown_keys(tmp_path: Path) -> None:
    faults = loaded(
        tmp_path,
        '[pigeon]\nlofd = "roof"\n[[routes]]\nmatch = "*"\npigeon = ["moon"]\n'
        '[[digests]]\nname = "d"\ncron = "0 9 * * *"\nlofts = ["moon"]\nto = ["a@b"]\n',
    )
    assert isinstance(faults, tuple)
    assert [
        "pigeon.loft: is missing",
        "routes[0].pigeon: is too far",
        "digests[0].lofts: is too far",
        "pigeon.lofd: is unknown; did you mean loft?",
        "digests[0].to: is unknown",
    ] == [f"{fault.key}: {fault.message}" for fault in faults]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'log.level = "{"x" * 1001}"', "log.level: is longer than 1000 characters"),
        (f'[[routes]]\nmatch = "*"\nslack = {["#x"] * 1001}', "routes[0].slack: has more than 1000 elements"),
        (f'timezone = "{"x" * 1001}"', "timezone: is longer than 1000 characters"),
        (f"{'k' * 5000} = 1", f"{'k' * 100}…: is unknown"),
        (f'[heartbeat]\nurl = "{"x" * 70_000}"', "heartbeat.url: is longer than 65536 characters"),
    ],
)
def test_texts_lists_keys_and_secrets_are_bounded(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(f"{text}\n{WATCHED}")
    (fault,) = load(path, environ={}, resolve_secrets=True)  # type: ignore[misc] # there are faults
    assert expected == f"{fault.key}: {fault.message}"


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file takes no disk space
    (fault,) = load(path, environ={}, resolve_secrets=True)  # type: ignore[misc] # there are faults
    assert f"{path}: is larger than 4194304 bytes" == str(fault)


@pytest.mark.parametrize(
    "key",
    [
        ".".join("a" * 100_000),
        " . ".join(["'b'"] * 100_000),
        '."c d"' * 100_000,
        "x = {" + ".".join("a" * 100_000),
        "[" + ".".join("a" * 100_000) + "]",
    ],
)
def test_a_key_of_very_many_names_is_refused_before_it_is_parsed(tmp_path: Path, key: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(f"# a line\n{key} = 1\n")
    (fault,) = load(path, environ={}, resolve_secrets=True)  # type: ignore[misc] # there are faults
    assert "line 2: holds more than 100 names with dots between them" == fault.message


def test_a_huge_file_of_apps_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(WATCHED + 'apps_file = "apps.csv"')
    with (tmp_path / "apps.csv").open("wb") as file:
        file.truncate(2**40)
    (fault,) = load(path, environ={}, resolve_secrets=True)  # type: ignore[misc] # there are faults
    assert f"{tmp_path}/apps.csv: is larger than 67108864 bytes" == str(fault)
