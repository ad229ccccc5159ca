"""Alerts as they open, close and are decided to be told, and what people do about them."""
