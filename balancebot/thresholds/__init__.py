"""Limits that people set: sheets and cells, changes with their audit, and a preview of what a change would do.

Open `changes.py` first.
"""
