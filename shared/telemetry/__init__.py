"""Metrics, structured logs and incidents of the serving side."""
