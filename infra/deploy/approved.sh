#!/bin/sh
# Fetch the plan that the approver of this version has seen. Without one there was nothing to approve.
set -eu
. infra/deploy/names.sh

if ! gcloud storage cp "$APPROVED" build/approved.plan.json; then
  echo "there is no plan of $VERSION in the bucket of the state: let pix-plan succeed for this tag, then approve again" >&2
  exit 1
fi
