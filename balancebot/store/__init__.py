"""All SQL, one file per noun. Functions take a connection and return domain values.

Open `tables.py` first.
"""
