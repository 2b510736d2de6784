"""Names of the Pub/Sub topics, one for each function."""

TRANSACTIONS = "pix-transactions"
OUTCOMES = "pix-outcomes"
FEEDBACK = "pix-feedback"
TOPICS = (TRANSACTIONS, OUTCOMES, FEEDBACK)
"""All topics, in the order of a Pix's life."""
