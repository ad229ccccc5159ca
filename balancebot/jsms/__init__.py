"""The JSMS API: turn an answer's bytes into a `Snapshot` or a `SourceError`. `simulator/` is a simulated JSMS.

Open `source.py` first.
"""
