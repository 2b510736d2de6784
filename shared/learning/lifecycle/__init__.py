"""Whether to train, what came of it, which bundle serves, and what the ledger says of all of it."""
