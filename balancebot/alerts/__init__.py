"""The life of alerts: what a verdict or a person does to them, stored in one transaction with what is to be sent.

Open `transitions.py` first.
"""
