"""History computed again from stored rows or event files, millions of rows at a time."""
