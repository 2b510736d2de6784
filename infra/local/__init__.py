"""The local cloud: Pub/Sub, BigQuery, Cloud Storage and a scheduler on loopback, for demo and tests."""
