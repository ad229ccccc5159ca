"""The poll cycle: claim due wallets, fetch, judge, record.

Open `cycle.py` first.
"""
