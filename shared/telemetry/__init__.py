"""Metrics, structured logs and incidents of serving."""
