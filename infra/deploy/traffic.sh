#!/bin/sh
# Move all traffic to the new revisions if the smoke test passed. Otherwise leave it unchanged and fail the build.
set -eu
. infra/deploy/names.sh

if [ -e build/smoked ]; then
  for service in $SERVICES; do
    gcloud run services update-traffic "$service" --to-revisions="$(cat "build/$service.revision")=100" --quiet
  done
fi
for service in $TRIED; do
  gcloud run services update-traffic "$service" --remove-tags="$TAG" --quiet
done
if [ ! -e build/smoked ]; then
  echo "the smoke test failed, so traffic stays on the old revisions; read the log of step smoke" >&2
  exit 1
fi
