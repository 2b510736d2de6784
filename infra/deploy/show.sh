#!/bin/sh
# Keep the plan of this version for the approver, and for the deployment that is approved with it.
set -eu
. infra/deploy/names.sh

gcloud storage cp build/proven.plan.json "$APPROVED"
