#!/bin/sh
# Note the revisions that Terraform made, and give the one that is tried first an address; it gets no traffic by that.
# A revision of another image is somebody else's, who deploys at the same time, and is not tried.
set -eu
. infra/deploy/names.sh

for service in $SERVICES; do
  revision=$(gcloud run services describe "$service" --format='value(status.latestCreatedRevisionName)')
  image=$(gcloud run revisions describe "$revision" --format='value(spec.containers[0].image)')
  if [ "$image" != "$(cat "build/${service#pix-}.image")" ]; then
    echo "$revision runs $image, which this deployment did not bring" >&2
    exit 1
  fi
  echo "$revision" >"build/$service.revision"
done
gcloud run services update-traffic "$TRIED" --update-tags="$TAG=$(cat "build/$TRIED.revision")" --quiet

# Once a model serves, a score that was made without it, or without history, is a failure. Whether one does is told by the
# status alone: what is neither yes nor no ends the deployment.
status=$(curl --silent --output /dev/null --write-out '%{http_code}' \
  --header "Authorization: Bearer $(gcloud auth print-access-token)" \
  "https://storage.googleapis.com/storage/v1/b/$PROJECT-pix-models/o/models%2Fcurrent.json")
case $status in
  200) echo --full >build/smoke-options ;;
  404) : >build/smoke-options ;;
  *)
    echo "Cloud Storage answers $status when asked whether a model serves" >&2
    exit 1
    ;;
esac
