"""Scheduled summaries, one for each name and slot."""
