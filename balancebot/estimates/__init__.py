"""Usage models and runway estimates: fitting, storing and reading them. The arithmetic is in `forecast`.

Open `estimator.py` first.
"""
