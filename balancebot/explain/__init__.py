"""`why`: explain a balance, from its reading to who was notified and what will be sent next.

Open `explain.py` first.
"""
