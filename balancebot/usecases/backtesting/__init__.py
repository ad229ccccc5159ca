"""What other limits would tell now, and would have told."""
