#!/bin/sh
# Let the next deployment begin. One that fails does not come here; then lock.sh sees that its build is over.
set -eu
. infra/deploy/names.sh

gcloud storage rm "$LOCK"
