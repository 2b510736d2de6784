"""Batch programs of the life cycle, one module each, run as `python -m jobs.<name> --help`."""
