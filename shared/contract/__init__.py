"""What crosses the wire: events, the Pub/Sub envelope, rows, and the schemas of topics and tables."""
