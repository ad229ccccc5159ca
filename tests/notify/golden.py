"""Messages exactly as they are sent; `pytest --update-golden` updates the files, to be reviewed by a person."""

from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def compare(path: str, text: str, *, update: bool) -> None:
    """Fail if `text` differs from the file; with `update`, write it to the file."""
    file = FOLDER / path
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text
