"""Statements: the opening and closing of each balance in a month, and what was bought, moved and used."""
