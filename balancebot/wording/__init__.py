"""The vocabulary of messages, pages and tables, in both languages, so that every face says the same thing alike."""

from balancebot.wording.forms import Form, read_forms, say_again
from balancebot.wording.signs import mark, number, sparkline
from balancebot.wording.words import Wording

__all__ = ["Form", "Wording", "mark", "number", "read_forms", "say_again", "sparkline"]
