"""Users of the web pages: accounts and log-in."""
