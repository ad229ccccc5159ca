"""Ways to tell people. An error from outside is a value here, never an exception."""
