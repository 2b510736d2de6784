"""The desk's rows in BigQuery. BIGQUERY_EMULATOR_HOST redirects the client to an emulator."""
