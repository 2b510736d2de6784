"""Fuzz tests of both functions with invalid and mutated bodies."""
