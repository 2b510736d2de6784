"""Deployment: staging, migration, smoke test, licence check, and the shell scripts of the pipelines."""
