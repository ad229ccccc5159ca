"""Statements: what was there, bought, moved, used and left in a month."""
