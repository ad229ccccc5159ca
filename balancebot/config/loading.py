"""From a path to `Settings`: read the file, read its tables, and refuse it with every fault or hand it out."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from balancebot.config import account_sections, channel_sections, kinds, sections
from balancebot.config.secrets import Secrets
from balancebot.config.shapes import Language, Settings
from balancebot.config.table import Fault, Reading, UnfitError

DEFAULT_PATH = "balancebot.toml"
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def config_path(given: Path | None, *, environ: Mapping[str, str]) -> Path:
    """Return where the configuration is: as given, else `$BALANCEBOT_CONFIG`, else `./balancebot.toml`."""
    return given or Path(environ.get("BALANCEBOT_CONFIG") or DEFAULT_PATH)


def load(path: Path, *, environ: Mapping[str, str], resolve_secrets: bool) -> Settings | tuple[Fault, ...]:
    """Read the configuration, or return all that is wrong with it, in the order of the file's tables.

    Without `resolve_secrets` no variable and no file of a secret is looked at (but the database's), and every
    secret in the answer refuses to be revealed. The files and folders that it names must be there in either case.
    """
    reading = Reading(file=str(path))
    try:
        values = _parse(path)
    except UnfitError as unfit:
        reading.fault("", str(unfit))
        return tuple(reading.faults)
    base = path.absolute().parent
    secrets = Secrets(environ=environ, base=base, resolve=resolve_secrets)
    return _settings(path, reading, secrets, values)


def _settings(
    path: Path, reading: Reading, secrets: Secrets, values: dict[str, object]
) -> Settings | tuple[Fault, ...]:
    root = reading.root(values)
    timezone = root.take("timezone", kinds.timezone, ZoneInfo("UTC"))
    language = root.take("language", kinds.one_of(Language), Language.ENGLISH)
    database = sections.database(root.section("database"), secrets)
    poll = sections.poll(root.section("poll"), secrets)
    alerts = sections.alerts(root.section("alerts"))
    accounts, faults_elsewhere = account_sections.accounts(root, secrets)
    slack_table, email, web, heartbeat = (root.table(key) for key in ("slack", "email", "web", "heartbeat"))
    slack = None if slack_table is None else channel_sections.slack(slack_table, secrets)
    settings = Settings(
        path=path,
        resolved=secrets.resolve,
        timezone=timezone,
        language=language,
        database=database,
        poll=poll,
        alerts=alerts,
        accounts=accounts,
        slack=slack,
        email=None if email is None else channel_sections.email(email, secrets),
        routes=channel_sections.routes(root, slack),
        digests=channel_sections.digests(root, language, slack),
        web=None if web is None else sections.web(web, secrets),
        heartbeat=None if heartbeat is None else sections.heartbeat(heartbeat, secrets),
        retention=sections.retention(root.section("retention")),
        templates_dir=sections.templates_dir(root.section("templates"), secrets),
        package_sizes=sections.package_sizes(root.section("orders")),
        log=sections.log(root.section("log")),
    )
    reading.note_unknown_keys()
    faults = (*reading.faults, *faults_elsewhere)
    return faults or settings


def _parse(path: Path) -> dict[str, object]:
    """Read and parse the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UnfitError("there is no such file; `balancebot init` writes one") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such file"
        raise UnfitError(f"can't be read: {reason}") from None
    return parse_toml(data)


def parse_toml(data: bytes) -> dict[str, object]:
    """Parse a file's bytes; what is wrong with it as a whole is raised in words that name the line and quote nothing.

    Raises UnfitError.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnfitError(f"line {line}: isn't UTF-8 text") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnfitError(_syntax_fault(str(error), text)) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, lists a thousand deep
        raise UnfitError("holds a number or a nesting that is too large to be read") from None


def _syntax_fault(message: str, text: str) -> str:
    """Put the place that tomllib names at the end of its message to the front of ours."""
    place = _PLACE.search(message)
    if place is None:
        return f"is no TOML: {message}"
    where = f"line {place['line']}, column {place['column']}"
    if place["line"] is None:
        where = f"line {len(text.rstrip().splitlines()) or 1}"
    return f"{where}: is no TOML: {message[: place.start()]}"
