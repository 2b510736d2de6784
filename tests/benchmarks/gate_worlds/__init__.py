"""Worlds with known truth, on which the gate is tried."""
