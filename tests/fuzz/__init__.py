"""Fuzz tests of all functions with invalid and mutated bodies."""
