"""Bodies that nobody should send, through the whole of both functions."""
