"""Replays in partitions: equal to one process, and their cost at a larger scale."""
