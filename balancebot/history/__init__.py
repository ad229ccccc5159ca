"""Past readings: imported, exported, charted, booked again and pruned."""
