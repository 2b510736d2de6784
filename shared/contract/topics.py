"""Names of the Pub/Sub topics, one for each function."""

TRANSACTIONS = "pix-transactions"
FEEDBACK = "pix-feedback"
OUTCOMES = "pix-outcomes"
TOPICS = (TRANSACTIONS, OUTCOMES, FEEDBACK)
