"""BigQuery: appends by the Storage Write API, queries, lookups, bulk loads and the model ledger."""
