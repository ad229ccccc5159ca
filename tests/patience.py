"""How long tests wait for an event that should happen immediately; enough for a busy machine."""

PATIENCE = 120.0
"""Seconds."""
