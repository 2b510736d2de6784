"""Tests of the shared store of history without a server."""
