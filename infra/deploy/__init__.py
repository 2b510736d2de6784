"""Deployment steps: staging, migration, smoke test, licences, and the shell scripts of the pipelines."""
