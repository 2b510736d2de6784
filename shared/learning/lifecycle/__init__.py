"""The life cycle of a model: trigger, retraining, release, drift, retirement, and the ledger of all these events."""
