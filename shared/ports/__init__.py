"""Ports: everything that the core asks of the outside, as small Protocols, a file for each part of the outside.

Each has an in-memory twin in `shared.adapters.memory` and an adapter in the folder of its vendor.
"""
