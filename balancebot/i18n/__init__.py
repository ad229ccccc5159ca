"""The vocabulary of messages, pages and tables, in both languages, so that every face says the same thing alike."""

from balancebot.i18n.forms import forms_of, say_again
from balancebot.i18n.signs import mark, number, sparkline, without_middle
from balancebot.i18n.words import Wording

__all__ = ["Wording", "forms_of", "mark", "number", "say_again", "sparkline", "without_middle"]
