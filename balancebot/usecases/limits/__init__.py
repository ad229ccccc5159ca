"""The limits that people set: kept at hand, and changed."""
