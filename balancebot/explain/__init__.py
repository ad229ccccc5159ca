"""`why`: the whole chain behind a balance, from its reading to who was notified and what would change that.

Open `explain.py` first.
"""
