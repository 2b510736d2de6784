"""Names of the Pub/Sub topics."""

TRANSACTIONS = "pix-transactions"
FEEDBACK = "pix-feedback"
