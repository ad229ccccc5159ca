"""How things stand now: balances, purchases to make, the installation. Reads the database and makes no request."""
