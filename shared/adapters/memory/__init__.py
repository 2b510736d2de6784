"""In-memory twins of the adapters: for tests, and as the simplest implementation of each port."""
