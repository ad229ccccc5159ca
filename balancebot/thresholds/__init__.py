"""Limits that users set: sheets and cells, changes with their audit, and a preview of a change's effects.

Open `changes.py` first.
"""
