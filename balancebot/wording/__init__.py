"""The vocabulary of messages, pages and tables, in both languages, so that every face says the same thing alike."""

from balancebot.wording.signs import mark, number, sparkline
from balancebot.wording.words import Wording

__all__ = ["Wording", "mark", "number", "sparkline"]
