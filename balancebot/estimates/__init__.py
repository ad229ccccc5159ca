"""Usage models and runway estimates: fitted, stored and read. The arithmetic is in `forecast`.

Open `estimator.py` first.
"""
