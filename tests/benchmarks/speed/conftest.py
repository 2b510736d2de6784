"""Exclude the tutorial function from doctests: like many tutorials, it loads its model on import."""

collect_ignore = ["tutorial"]
