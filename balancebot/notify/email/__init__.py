"""E-mail: `compose.py` builds a message, `smtp.py` sends it to one recipient."""
