"""A round of readings, from what is due to what is written."""
