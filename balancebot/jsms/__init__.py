"""The JSMS API: an answer's bytes become a `Snapshot` or a `SourceError`. `simulator/` is a JSMS of our own.

Open `source.py` first.
"""
