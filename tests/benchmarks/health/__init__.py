"""Planted causes and planted challengers before health, shadow and comparison: make bench-health."""
