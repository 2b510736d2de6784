"""Adapters of Pub/Sub: messages by StreamingPull, and dead letters."""
