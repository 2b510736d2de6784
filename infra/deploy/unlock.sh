#!/bin/sh
# Release the lock. A failed deployment never gets here; lock.sh then takes over the lock of its finished build.
set -eu
. infra/deploy/names.sh

gcloud storage rm "$LOCK"
