"""balancebot: will we run out of SMS, when, and who must act?"""

from pathlib import Path

__version__ = "0.1.0"

_PACKAGE = Path(__file__).parent


def packaged(folder: str) -> Path:
    """Return where the files beside the code lie (`templates`, `migrations`): in an installed wheel, else at the root."""
    installed = _PACKAGE / "_data" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder
