"""Alerts: what a verdict, a person or the passing of time does to them, stored together with the messages to send.

Open `transitions.py` first.
"""
