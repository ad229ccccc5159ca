"""From settings to a bot: the only room that names concrete adapters."""

from balancebot.bootstrap.bot import Bot
from balancebot.bootstrap.outside import endpoints

__all__ = ["Bot", "endpoints"]
