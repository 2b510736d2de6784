"""Serving without HTTP: from the body of a delivery to its acknowledgement."""
