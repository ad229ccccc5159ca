"""balancebot: will we run out of SMS, when, and who must act?"""

from pathlib import Path

__version__ = "0.1.0"

_PACKAGE = Path(__file__).parent


def packaged(folder: str) -> Path:
    """Return a folder of data files (`templates`, `migrations`): in the installed wheel, else in the repository."""
    installed = _PACKAGE / "_data" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder
