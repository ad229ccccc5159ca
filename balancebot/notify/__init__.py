"""Delivery: claims what is due in the outbox, renders it, sends it through a channel and records the outcome.

Open `worker.py` first. Each channel is a folder of its own.
"""
