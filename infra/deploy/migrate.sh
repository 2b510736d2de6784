#!/bin/sh
# Add columns to existing tables, or refuse the deployment before it changes anything.
set -eu

GOOGLE_CLOUD_PROJECT=$PROJECT .venv/bin/python -m infra.deploy.migrate
