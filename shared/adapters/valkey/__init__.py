"""Valkey or Redis: the history of accounts, shared by all instances."""
