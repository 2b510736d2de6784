"""Composition roots: the only places where the core meets its adapters."""
