#!/bin/sh
# Note the revisions that Terraform made, and give the one that is tried first an address; it gets no traffic by that.
set -eu
. infra/deploy/names.sh

for service in $SERVICES; do
  gcloud run services describe "$service" --format='value(status.latestCreatedRevisionName)' >"build/$service.revision"
done
gcloud run services update-traffic "$TRIED" --update-tags="$TAG=$(cat "build/$TRIED.revision")" --quiet

# Once a model serves, a score that was made without it, or without history, is a failure.
if gcloud storage objects describe "gs://$PROJECT-pix-models/models/current.json" --format='value(name)'
then echo --full >build/smoke-options
else : >build/smoke-options
fi
