"""In-memory twins of the adapters: for tests, and as the plainest reading of each port."""
