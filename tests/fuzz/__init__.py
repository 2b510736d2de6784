"""Fuzz tests of all functions, and of the API, with invalid and mutated bodies."""
