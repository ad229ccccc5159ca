"""Messages as they are sent, kept word for word; `pytest --update-golden` writes them anew for the eye to judge."""

from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def compare(path: str, text: str, *, update: bool) -> None:
    """Fail where `text` isn't what the file says; with `update`, let the file say it."""
    file = FOLDER / path
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text
