"""The past: taken in, given out, shown, and made smaller with age."""
