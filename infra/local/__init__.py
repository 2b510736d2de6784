"""The local cloud on loopback, for the demo and tests: Pub/Sub, Cloud Storage, BigQuery, Valkey and a scheduler."""
