"""History computed again from what was stored, millions of rows at a time."""
