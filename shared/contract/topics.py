"""Names of the Pub/Sub topics: one for each function, and one that functions publish to."""

TRANSACTIONS = "pix-transactions"
OUTCOMES = "pix-outcomes"
FEEDBACK = "pix-feedback"
TOPICS = (TRANSACTIONS, OUTCOMES, FEEDBACK)
"""The topics of functions, in the order of a Pix's life."""
DECISIONS = "pix-decisions"
"""Decisions, for those who carry them out."""
DEAD = "-dead"
"""Suffix of the topic of a topic's dead letters, and of the Pub/Sub subscription that keeps them."""
