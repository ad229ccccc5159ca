"""Finds the files that travel beside the code: inside an installed wheel, or at the root of a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def packaged(folder: str) -> Path:
    """Return where `folder` (`templates`, `migrations`) lies: in the package's `_data` first, then at the root."""
    installed = _PACKAGE / "_data" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder
