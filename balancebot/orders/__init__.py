"""Orders: purchases that people record, the top-ups matched to them, and the reminder of one that is overdue."""
