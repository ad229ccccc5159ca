"""How long tests wait for what should come at once: also on a busy machine; it costs nothing where all is well."""

PATIENCE = 120.0
"""Seconds."""
