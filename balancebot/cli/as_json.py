"""How answers look to scripts: instants in UTC to the second, `2026-11-23T09:55:00Z`; nothing that a person reads."""

import json
from datetime import UTC, datetime


def instant(at: datetime | None) -> str | None:
    """Write an instant; None stays null."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def show(answer: object) -> None:
    """Print an answer, indented so that a person may look at it too."""
    print(json.dumps(answer, ensure_ascii=False, indent=2))
