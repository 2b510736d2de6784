"""A server that speaks Valkey's protocol as far as history needs it, where no real one is installed."""
