"""The HTTP server side of a function."""
