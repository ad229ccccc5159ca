"""What the bot does: one file per job, given its clock, store, sources and channels; it names no adapter."""
