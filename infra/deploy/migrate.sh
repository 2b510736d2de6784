#!/bin/sh
# Add columns to the tables that are there, or refuse the deployment before anything is changed.
set -eu

GOOGLE_CLOUD_PROJECT=$PROJECT .venv/bin/python -m infra.deploy.migrate
