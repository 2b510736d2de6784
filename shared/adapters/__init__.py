"""Adapters of the ports: a folder or file for each vendor, and in-memory twins."""
