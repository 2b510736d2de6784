"""The full loop on one machine: history, a model, live traffic, labels, a swap under load, and its figures."""
