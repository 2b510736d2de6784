#!/bin/sh
# Give all traffic to the new revisions if the smoke test passed. If not, what served goes on, and the build fails.
set -eu
. infra/deploy/names.sh

if [ -e build/smoked ]; then
  for service in $SERVICES; do
    gcloud run services update-traffic "$service" --to-revisions="$(cat "build/$service.revision")=100" --quiet
  done
fi
gcloud run services update-traffic "$TRIED" --remove-tags="$TAG" --quiet
if [ ! -e build/smoked ]; then
  echo "the smoke test failed; traffic stays with the revisions that serve" >&2
  exit 1
fi
