"""Messages, the Pub/Sub envelope, stored rows, and the schemas of topics and tables."""
