"""The whole loop on one machine: history, a model, live traffic, labels, a swap under load, and what came of it."""
