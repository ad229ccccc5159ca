"""The present state: balances, purchases to make, the installation. It only reads the database."""
