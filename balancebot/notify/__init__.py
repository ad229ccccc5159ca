"""Delivery: claim due deliveries from the outbox, render them, send them through a channel, record the outcome.

Open `worker.py` first. Each channel has its own folder.
"""
