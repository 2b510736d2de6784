"""The whole loop on one machine: history, model v1, live traffic, labels, model v2 swapped under load, and a table."""
