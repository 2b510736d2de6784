#!/bin/sh
# Pin the traffic of the functions and of the case desk that serve, so that new revisions get none, and note which do.
set -eu
. infra/deploy/names.sh

there=$(gcloud run services list --format='value(metadata.name)')
for service in $SERVICES $DESK; do
  if echo "$there" | grep -qx "$service"; then
    latest=$(gcloud run services describe "$service" --format='value(spec.traffic.latestRevision)')
    case $latest in
      *True*)
        serving=$(gcloud run services describe "$service" --format='value(status.latestReadyRevisionName)')
        gcloud run services update-traffic "$service" --to-revisions="$serving=100" --quiet
        ;;
    esac
    : >"build/$service.pinned"
  fi
done
