"""The local BigQuery: launcher and server process around bqemulator."""
