"""The JSMS API: an answer's bytes become a `Snapshot` or a `SourceError`. `simulator/` is a JSMS of our own."""

import sys

# httpx imports a command line of its own where it can, and with it rich and pygments: 6 MB and a tenth of a second.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # None: as if it weren't installed
