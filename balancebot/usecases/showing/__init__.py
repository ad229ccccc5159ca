"""How things stand now, for whoever asks."""
