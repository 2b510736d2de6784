"""Valkey or Redis as a child process: the store of history of the local cloud, of benchmarks and of tests."""
