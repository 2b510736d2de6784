"""Features of a Pix: decayed counters of the history before it, and the vector computed from both."""
